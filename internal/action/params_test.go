package action_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

var every = action.Spec{
	Name: "test.every", Doc: "Has every type.", Effect: action.Once, Impact: action.Harmless,
	Params: []action.Param{
		{Name: "text", Type: action.String, Doc: "A text.", Required: true},
		{Name: "count", Type: action.Int, Doc: "A count.", Default: 3},
		{Name: "ratio", Type: action.Float, Doc: "A ratio."},
		{Name: "force", Type: action.Bool, Doc: "Whether to."},
		{Name: "grace", Type: action.Duration, Doc: "How long.", Default: "10s"},
		{Name: "argv", Type: action.Strings, Doc: "Arguments."},
		{Name: "headers", Type: action.Object, Doc: "Headers."},
	},
}

func TestCheckParams(t *testing.T) {
	for _, tc := range []struct {
		name string
		raw  map[string]any
		want map[string]any
	}{
		{
			"defaults are filled in",
			map[string]any{"text": "x"},
			map[string]any{"text": "x", "count": int64(3), "grace": 10 * time.Second},
		},
		{
			"as JSON gives them",
			map[string]any{"text": "x", "count": float64(4), "ratio": float64(1), "force": true, "grace": "1m", "argv": []any{"a", "b"}, "headers": map[string]any{"k": "v"}},
			map[string]any{"text": "x", "count": int64(4), "ratio": 1.0, "force": true, "grace": time.Minute, "argv": []string{"a", "b"}, "headers": map[string]any{"k": "v"}},
		},
		{
			"null counts as not given",
			map[string]any{"text": "x", "count": nil, "ratio": nil},
			map[string]any{"text": "x", "count": int64(3), "grace": 10 * time.Second},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := action.CheckParams(every, tc.raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("got(-) want(+):\n%s", diff)
			}
			again, err := action.CheckParams(every, got)
			if err != nil || !cmp.Equal(again, got) {
				t.Errorf("checked again: got %v, %v, want the same", again, err)
			}
		})
	}
}

func TestCheckParamsRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		raw  map[string]any
		want []string // parts of the text
	}{
		{"missing required", nil, []string{`"text" (string) is required`}},
		{"unknown with a hint", map[string]any{"text": "x", "grce": "1s"}, []string{`"grce" is not known (did you mean "grace"?)`, "takes text, count"}},
		{"every mistake at once", map[string]any{"count": "many", "zzz": 1}, []string{`"zzz" is not known;`, `"text"`, `"count": is the string "many", expected int`}},
		{"broken number", map[string]any{"text": "x", "count": 1.5}, []string{"the number 1.5, expected int"}},
		{"not a number", map[string]any{"text": "x", "ratio": math.NaN()}, []string{`"ratio"`}},
		{"number for a string", map[string]any{"text": 7}, []string{"the number 7, expected string"}},
		{"duration without unit", map[string]any{"text": "x", "grace": 30}, []string{"expected a duration as in 30s"}},
		{"negative duration", map[string]any{"text": "x", "grace": "-1s"}, []string{"may not be negative"}},
		{"number in a list", map[string]any{"text": "x", "argv": []any{"a", 2}}, []string{"item 2 is the number 2"}},
		{"list for an object", map[string]any{"text": "x", "headers": []any{}}, []string{"is a list, expected an object"}},
		{"huge value", map[string]any{"text": "x", "grace": strings.Repeat("9", 10<<20)}, []string{"is no duration"}},
		{"huge name", map[string]any{"text": "x", strings.Repeat("n", 10<<20): 1}, []string{"is not known"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := action.CheckParams(every, tc.raw)
			if !heal.Is(err, heal.Invalid) {
				t.Fatalf("got %v, want kind invalid", err)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %q, want it to contain %q", err, part)
				}
			}
			if len(err.Error()) > 2000 {
				t.Errorf("got an error of %d bytes, want a short one", len(err.Error()))
			}
		})
	}
}

func FuzzCheckParams(f *testing.F) {
	f.Add("grace", "10s", 1.0)
	f.Add("count", "\xff", 1e300)
	f.Fuzz(func(t *testing.T, name, text string, number float64) {
		for _, value := range []any{text, number, []any{text, number}, map[string]any{text: number}} {
			checked, err := action.CheckParams(every, map[string]any{"text": text, name: value})
			if err != nil {
				if !heal.Is(err, heal.Invalid) {
					t.Errorf("got kind %v, want invalid", heal.KindOf(err))
				}
				continue
			}
			if _, err := action.CheckParams(every, checked); err != nil {
				t.Errorf("what was checked does not pass again: %v", err)
			}
		}
	})
}
