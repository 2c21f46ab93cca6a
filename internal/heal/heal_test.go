package heal_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestNewIDSortsByTime(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	early := heal.NewID(at, bytes.NewReader(bytes.Repeat([]byte{0xff}, 10)))
	late := heal.NewID(at.Add(time.Millisecond), bytes.NewReader(make([]byte, 10)))
	if early >= late {
		t.Errorf("ids do not sort by time: %s is not before %s", early, late)
	}
	if got, want := early, "019b7ca9-8c88-7fff-bfff-ffffffffffff"; got != want {
		t.Errorf("NewID: got %s, want %s", got, want)
	}
}

func TestErrorKindSurvivesWrapping(t *testing.T) {
	inner := heal.Errorf(heal.NotFound, "get run 7", "no such record")
	err := heal.Wrap("show run", fmt.Errorf("reading: %w", inner))
	if got := heal.KindOf(err); got != heal.NotFound {
		t.Errorf("KindOf: got %v, want %v", got, heal.NotFound)
	}
	if got := heal.KindOf(errors.New("plain")); got != heal.Internal {
		t.Errorf("KindOf a plain error: got %v, want %v", got, heal.Internal)
	}
	if heal.Wrap("nothing", nil) != nil {
		t.Error("Wrap of nil is not nil")
	}
}

func TestEntityIDValidate(t *testing.T) {
	tests := []struct {
		name string
		id   heal.EntityID
		ok   bool
	}{
		{"service", "service/cart", true},
		{"name with slash", "pod/shop/cart-1", true},
		{"empty", "", false},
		{"no kind", "/cart", false},
		{"no name", "service/", false},
		{"star", "service/*", false},
		{"kind star", "*/cart", false},
		{"part star", "service/cart-*", false},
		{"no slash", "cart", false},
		{"spaces", "service/ cart", false},
		{"too long", heal.EntityID("service/" + strings.Repeat("x", 600)), false},
		{"NUL", "service/a\x00b", false},
		{"invalid UTF-8", "service/a\xffb", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.id.Validate(); (err == nil) != tt.ok {
				t.Errorf("Validate(%q): got %v, want ok %v", tt.id, err, tt.ok)
			}
		})
	}
}

func TestScope(t *testing.T) {
	s, err := heal.ParseScope("acme/prod/eu-1/cart")
	if err != nil {
		t.Fatal(err)
	}
	want := heal.Scope{Tenant: "acme", Env: "prod", Cluster: "eu-1", Service: "cart"}
	if diff := cmp.Diff(s, want); diff != "" {
		t.Errorf("ParseScope (-got +want):\n%s", diff)
	}
	if got := s.String(); got != "acme/prod/eu-1/cart" {
		t.Errorf("String: got %s", got)
	}
	if _, err := heal.ParseScope("acme//x"); err == nil {
		t.Error("ParseScope took an empty part")
	}
	if outer := (heal.Scope{Tenant: "acme"}); !outer.Contains(s) || s.Contains(outer) {
		t.Error("Contains: acme must contain acme/prod/eu-1/cart and not the reverse")
	}
}

func TestStepKeyRoundTrip(t *testing.T) {
	for _, key := range []heal.StepKey{
		{Run: "r1", Task: "restart", Attempt: 2},
		{Run: "r1", Task: "restart", Attempt: 1, Undo: true},
	} {
		got, err := heal.ParseStepKey(key.String())
		if err != nil || got != key {
			t.Errorf("ParseStepKey(%s): got %+v, %v", key, got, err)
		}
	}
	if _, err := heal.ParseStepKey("nonsense"); !heal.Is(err, heal.Invalid) {
		t.Errorf("ParseStepKey(nonsense): got %v, want kind invalid", err)
	}
}
