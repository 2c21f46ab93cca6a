package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type sample struct {
	Name  string             `yaml:"name" doc:"What it is called."`
	Inner inner              `yaml:"inner"`
	Items []item             `yaml:"items" doc:"Things."`
	Rates map[string]float64 `yaml:"rates" doc:"By name." min:"0"`
}

type inner struct {
	Wait Duration `yaml:"wait" doc:"Between two." min:"1s"`
	Many int      `yaml:"many" doc:"How many." min:"1"`
	Mode string   `yaml:"mode" doc:"One of a, b." oneof:"a,b"`
	On   bool     `yaml:"on" doc:"Whether."`
}

type item struct {
	ID string `yaml:"id" required:"true" doc:"Its name."`
	N  int    `yaml:"n" doc:"A number."`
}

var form = Form[sample]{
	Prefix: "SAMPLE",
	Default: func() sample {
		return sample{Name: "x", Inner: inner{Wait: Duration(time.Minute), Many: 3, Mode: "a"}, Items: []item{{"one", 1}, {"two", 2}}}
	},
	Check: func(c *sample, report Report) {
		if c.Name == "bad" {
			report("name", "a good one", "is %q", c.Name)
		}
	},
}

func TestFileAndEnvironmentOverDefaults(t *testing.T) {
	got, problems := form.Parse("f.yaml", []byte("inner: {wait: 2d, on: true}\nitems: [{id: three}]\nrates: {a: 0.5}\n"), []string{"SAMPLE_INNER_MANY=7", "OTHER=1"})
	want := sample{
		Name: "x", Inner: inner{Wait: Duration(48 * time.Hour), Many: 7, Mode: "a", On: true},
		Items: []item{{ID: "three"}}, Rates: map[string]float64{"a": 0.5},
	}
	if diff := cmp.Diff(got, want); diff != "" || len(problems) > 0 {
		t.Errorf("problems %v, (-got +want):\n%s", problems, diff)
	}
}

func TestEveryMistakeIsReported(t *testing.T) {
	_, problems := form.Parse("f.yaml", []byte("name: bad\ninner:\n  wait: 1ms\n  many: x\n  mode: c\n  what: 1\nitems: [{n: 1}]\nrates: {a: -1}\nname: again\n"), []string{"SAMPLE_INNER_ON=maybe"})
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	want := []string{
		"f.yaml:3: inner.wait: is 1ms; expected at least 1s",
		`f.yaml:4: inner.many: is "x"; expected a whole number`,
		`f.yaml:5: inner.mode: is "c"; expected one of a, b`,
		"f.yaml:6: inner.what: is not known; expected one of many, mode, on, wait",
		"f.yaml:7: items[0].id: is missing; expected a value",
		"f.yaml:8: rates.a: is -1; expected at least 0",
		"f.yaml:9: name: stands here twice",
		`environment SAMPLE_INNER_ON: inner.on: is "maybe"; expected true or false`,
		`f.yaml:1: name: is "bad"; expected a good one`,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("problems (-got +want):\n%s", diff)
	}
	for _, text := range []string{"{", "- a", "a: &x 1\nb: *x", "---\n{}\n---\n{}"} {
		if _, problems := form.Parse("f.yaml", []byte(text), nil); len(problems) == 0 {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestWhatIsWrittenIsTheDefault(t *testing.T) {
	text := form.Write("A sample.\nWith two lines.")
	if !strings.HasPrefix(string(text), "# A sample.\n# With two lines.\n") || !strings.Contains(string(text), "# Its name.") {
		t.Errorf("got\n%s", text)
	}
	got, problems := form.Parse("written", text, nil)
	want := form.Default()
	want.Rates = map[string]float64{}
	if diff := cmp.Diff(got, want); diff != "" || len(problems) > 0 {
		t.Errorf("problems %v, (-got +want):\n%s\n%s", problems, diff, text)
	}
}

func TestOnlyANamedFileMustExist(t *testing.T) {
	missing := t.TempDir() + "/none.yaml"
	if _, problems := form.Load(missing, false, nil); len(problems) > 0 {
		t.Errorf("got %v, want none", problems)
	}
	if _, problems := form.Load(missing, true, nil); len(problems) != 1 {
		t.Errorf("got %v, want that it is not there", problems)
	}
}

func TestDurationText(t *testing.T) {
	for text, want := range map[string]string{"15d": "15d", "90s": "1m30s", "1m": "1m", "2h": "2h", "0s": "0s", "48h": "2d"} {
		d, err := ParseDuration(text)
		if err != nil || d.String() != want {
			t.Errorf("ParseDuration(%q): got %v, %v, want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"", "d", "-1s", "-2d", "x", "99999999d"} {
		if _, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) took it", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("inner: {wait: 2d}\nitems: [{id: a}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, problems := form.Parse("f.yaml", text, nil)
		if len(problems) > 0 {
			return
		}
		if got.Inner.Many < 1 || got.Inner.Wait < Duration(time.Second) || got.Name == "bad" {
			t.Errorf("got %+v, which breaks its own rules", got)
		}
		for _, i := range got.Items {
			if i.ID == "" {
				t.Errorf("got %+v without what is required", got.Items)
			}
		}
	})
}
