package heal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

func aChange() heal.Change {
	return heal.Change{ID: "deploy-42", Kind: heal.ChangeDeploy, Entity: "service/cart", At: time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC), Source: "ci"}
}

func TestChangeValidate(t *testing.T) {
	tests := []struct {
		name string
		with func(*heal.Change)
		says string // "": it is taken
	}{
		{"the least", func(*heal.Change) {}, ""},
		{"everything", func(c *heal.Change) {
			c.By, c.Summary, c.Link, c.Version = "ci", "new cart", "https://ci.example/42", "1.4.2"
		}, ""},
		{"no id", func(c *heal.Change) { c.ID = "" }, "id:"},
		{"a line break in the id", func(c *heal.Change) { c.ID = "a\nb" }, "id:"},
		{"a long id", func(c *heal.Change) { c.ID = heal.ChangeID(strings.Repeat("x", 201)) }, "id:"},
		{"an unknown kind", func(c *heal.Change) { c.Kind = "magic" }, "expected deploy"},
		{"every entity", func(c *heal.Change) { c.Entity = "service/*" }, "wildcard"},
		{"no time", func(c *heal.Change) { c.At = time.Time{} }, "at:"},
		{"a script as link", func(c *heal.Change) { c.Link = "javascript:alert(1)" }, "link:"},
		{"a link to nowhere", func(c *heal.Change) { c.Link = "https://" }, "link:"},
		{"text that is no UTF-8", func(c *heal.Change) { c.Summary = "\xff" }, "summary:"},
		{"a long summary", func(c *heal.Change) { c.Summary = strings.Repeat("x", 2001) }, "summary:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := aChange()
			tt.with(&c)
			err := c.Validate()
			if tt.says == "" && err != nil || tt.says != "" && (!heal.Is(err, heal.Invalid) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

func TestChangeText(t *testing.T) {
	c := aChange()
	c.Version, c.By, c.Summary = "1.4.2", "ci", "new cart"
	if got, want := c.Text(), "deploy of 1.4.2 by ci: new cart"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c = aChange()
	c.Source = heal.FromTelemetry
	if got, want := c.Text(), "deploy, which nobody told of"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
