package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/api/apitest"
)

// TestChangesPage lists what was changed, narrowed, with the cases it is a
// suspect in.
func TestChangesPage(t *testing.T) {
	h := open(t)
	h.Seed(t)
	h.SeedChanges(t)
	tests := []struct {
		name, query string
		want, not   []string
	}{
		{
			"everything", "", []string{
				"deploy of 1.4.2 by ci: new &lt;b&gt;cart&lt;/b&gt;", `href="/cases/` + apitest.CartCase + `">cart is not reachable</a>`, "pay is slow",
				`<a href="https://ci.example/7" rel="external noreferrer"`, "change of schema", `sse-connect="/live?since=`, "what=change",
			}, []string{"<b>cart"},
		},
		{"of a service", "?service=cart", []string{"1.4.2"}, []string{"more workers", "change of schema"}},
		{"of an entity", "?entity=database/orders", []string{"change of schema", `Of <a href="/services?entity=database%2forders">database/orders</a>`, `type="hidden" name="entity"`}, []string{"1.4.2"}},
		{"of a kind", "?kind=configuration", []string{"more workers", `value="configuration" selected`}, []string{"1.4.2"}},
		{"since a time", "?from=2024-01-05T10:00:00.000Z", []string{"more workers", `name="from" value="2024-01-05T10:00" data-utc="2024-01-05T10:00:00Z"`}, []string{"1.4.2"}},
		{"until a time as a browser without scripts sends it", "?from=&to=2024-01-05T09:59", []string{"1.4.2"}, []string{"more workers"}},
		{"nothing of that", "?service=mail", []string{"No change fits.", `<a href="/changes">Show all</a>`}, nil},
	}
	b := h.as(t, "viewer")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.get("/changes" + tt.query)
			if got.status != 200 {
				t.Fatalf("got %d: %s", got.status, got.body)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.body, want) {
					t.Errorf("%s is not there: %s", want, got.body)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(got.body, not) {
					t.Errorf("%s is there: %s", not, got.body)
				}
			}
		})
	}
	for query, want := range map[string]string{
		"?from=yesterday":          "From is &#34;yesterday&#34;, expected a time as in",
		"?to=0001-01-01T00:00:00Z": "To is ",
		"?from=2024-01-05T10:00:00Z&to=2024-01-05T09:00:00%2B00:00": "expected a time before To, 2024-01-05T09:00:00Z",
	} {
		if got := b.get("/changes" + query); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d, want 422 with %q: %s", query, got.status, want, got.body)
		}
	}
	t.Run("what one may see", func(t *testing.T) {
		body := h.as(t, "cart").get("/changes").body
		if !strings.Contains(body, "1.4.2") || !strings.Contains(body, "cart is not reachable") || strings.Contains(body, "more workers") || strings.Contains(body, "pay is slow") {
			t.Errorf("an operator of cart sees %s", body)
		}
	})
	t.Run("none yet", func(t *testing.T) {
		if body := open(t).as(t, "viewer").get("/changes").body; !strings.Contains(body, "No change is known yet.") {
			t.Errorf("got %s", body)
		}
	})
}

// TestChangesElsewhere: the case, the service and the overview tell of changes.
func TestChangesElsewhere(t *testing.T) {
	h := open(t)
	h.Seed(t)
	h.SeedChanges(t)
	b := h.as(t, "viewer")
	tests := []struct {
		name, path string
		want, not  []string
	}{
		{
			"the case", "/cases/" + apitest.CartCase, []string{
				`▲ suspect</span> <strong>4 min before the first alert</strong>, on <a href="/services?entity=service%2fcart">cart</a>`,
				`<p><strong>20 s after the first alert</strong>, on <a href="/services?entity=service%2ffrontend">frontend</a></p><p>change of configuration by alice: more workers</p>`,
			}, []string{"change of schema"},
		},
		{"a case without", "/cases/" + apitest.PayCase, []string{"Nothing that is known of"}, []string{"suspect</span>"}},
		{"the service", "/services?entity=service/cart", []string{"changed</span>", "deploy of 1.4.2", `▲ suspect in</span> <a href="/cases/` + apitest.CartCase, `href="/changes?entity=service%2fcart"`}, []string{"more workers"}},
		{"the overview", "/", []string{"Changed lately", "deploy of 1.4.2", "change of schema", `href="/changes">All changes`}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := b.get(tt.path).body
			for _, want := range tt.want {
				if !strings.Contains(body, want) {
					t.Errorf("%s is not there: %s", want, body)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(body, not) {
					t.Errorf("%s is there: %s", not, body)
				}
			}
		})
	}
}
