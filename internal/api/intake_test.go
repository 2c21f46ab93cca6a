package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/store"
)

const group = `{"version":"4","alerts":[
	{"status":"firing","labels":{"alertname":"A","service":"cart"},"startsAt":"2024-01-05T10:00:00Z"},
	{"status":"firing","labels":{"alertname":"B","service":"cart"},"startsAt":"yesterday"},
	{"status":"firing","labels":{"alertname":"C","service":"cart"}}],"truncatedAlerts":2}`

// deliveries counts what is on disk and waits.
func (d *door) deliveries(t *testing.T) (n int64) {
	t.Helper()
	must(t, d.Store.View(context.Background(), func(r store.Reader) (err error) {
		n, err = r.Count(store.Deliveries)
		return err
	}))
	return n
}

func TestWebhook(t *testing.T) {
	const path, secret = "/api/v1/webhooks/alertmanager", "Authorization: Bearer " + apitest.WebhookSecret
	d := open(t, nil)
	got := read[form.Accepted](t, d.ask("", "POST", path, group, secret), 200)
	if got.Accepted != 2 || len(got.Skipped) != 2 || got.Skipped[0].Index != 1 || !strings.Contains(got.Skipped[0].Reason, "startsAt") || got.Skipped[1].Count != 2 {
		t.Errorf("got %+v", got)
	}
	if n := d.deliveries(t); n != 1 {
		t.Errorf("%d deliveries on disk, want 1", n)
	}
	signed := "X-Hub-Signature-256: " + auth.Sign(apitest.WebhookSecret, []byte(group))
	read[form.Accepted](t, d.ask("", "POST", path, group, signed), 200)
	read[form.Accepted](t, d.ask("", "POST", path, group, secret, "Content-Type: text/plain"), 200)
	read[form.Accepted](t, d.ask("", "POST", path, `{"alerts":[]}`, secret), 200)
	kept := d.deliveries(t)

	tests := []struct {
		name, path, body, header string
		status                   int
		words                    []string
	}{
		{"no secret", path, group, "X: y", 401, nil},
		{"wrong secret", path, group, "Authorization: Bearer 0123456789abcdef", 401, nil},
		{"a token is no secret", path, group, "Authorization: Bearer " + d.Tokens["admin"], 401, nil},
		{"signature of another body", path, group + " ", signed, 401, nil},
		{"unknown hook", "/api/v1/webhooks/none", group, "Authorization: Bearer " + d.Tokens["admin"], 404, []string{`no webhook \"none\"`}},
		{"every problem", path, `{"alerts":[{"status":"firing"},{"labels":7},{"status":"firing","labels":{"a":"b"},"startsAt":"x"}]}`, secret, 400, []string{"alerts[0]", "alerts[1]", "alerts[2]", "no labels", "startsAt"}},
		{"malformed", path, `{"alerts":`, secret, 400, []string{"not JSON"}},
		{"empty", path, ``, secret, 400, nil},
		{"deep", path, strings.Repeat("[", 100_000), secret, 400, []string{"levels"}},
		{"invalid UTF-8", path, "{\"alerts\":\"\xff\"}", secret, 400, []string{"UTF-8"}},
		{"no alerts", path, `{"version":"4"}`, secret, 400, []string{`no list \"alerts\"`}},
		{"10 MB", path, `{"alerts":["` + strings.Repeat("x", 10<<20) + `"]}`, secret, 413, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problem(t, d.ask("", "POST", tt.path, tt.body, tt.header), tt.status, tt.words...)
		})
	}
	if n := d.deliveries(t); n != kept {
		t.Errorf("%d deliveries on disk after what was refused, want %d", n, kept)
	}
}

func TestIntakeIsFull(t *testing.T) {
	d := open(t, nil)
	one := func(n int) string { return fmt.Sprintf(`{"alerts":[{"alert_name":"n%d"}]}`, n) }
	for n := range 10 {
		read[form.Accepted](t, d.ask("sender", "POST", "/api/v1/alerts", one(n), "Idempotency-Key: k"+one(n)[:25]+itoa(int64(n))), 200)
	}
	full := d.ask("sender", "POST", "/api/v1/alerts", one(11), "Idempotency-Key: full")
	problem(t, full, http.StatusTooManyRequests, "send it again")
	if full.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After")
	}
	secret := "Authorization: Bearer " + apitest.WebhookSecret
	full = d.ask("", "POST", "/api/v1/webhooks/alertmanager", group, secret)
	problem(t, full, http.StatusServiceUnavailable, "send it again")
	if full.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After")
	}
	// The refusal was for now: the same key may be used again.
	problem(t, d.ask("sender", "POST", "/api/v1/alerts", one(11), "Idempotency-Key: full"), http.StatusTooManyRequests)
	if n := d.deliveries(t); n != 10 {
		t.Errorf("%d deliveries on disk, want 10", n)
	}
}
