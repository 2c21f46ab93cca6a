package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
)

// slowRequest is telemetry that holds one slow request.
type slowRequest struct{}

func (slowRequest) Chart(context.Context, string, time.Time, time.Time, time.Duration) (form.Chart, error) {
	return form.Chart{}, nil
}

func (slowRequest) Logs(context.Context, heal.EntityID, time.Time, time.Time, int) ([]form.LogLine, error) {
	return []form.LogLine{}, nil
}

func (slowRequest) Spans(context.Context, heal.EntityID, time.Time, time.Time, int) ([]form.SpanLine, error) {
	return []form.SpanLine{}, nil
}

func (slowRequest) Slowest(context.Context, heal.EntityID, time.Time, time.Time) (*form.Critical, error) {
	return &form.Critical{
		TraceID: "0af7651916cd43dd8448eb211c80319c", Service: "front", Operation: "GET /<b>", At: apitest.Began, Seconds: 2,
		Held: []form.Hold{{Service: "stock", Operation: "reserve", Spans: 3, Seconds: 1.9, Share: 0.95}, {Service: "front", Operation: "GET /<b>", Spans: 1, Seconds: 0.1, Share: 0.05}},
		More: 2, Failed: &form.SpanLine{Service: "stock", Operation: "reserve", Text: "no row", Error: true},
	}, nil
}

func TestWhoHeldTheRequest(t *testing.T) {
	h := openWith(t, func(o *api.Options) { o.Signals = slowRequest{} })
	h.Seed(t)
	got := h.as(t, "viewer").get("/part/cases/" + apitest.CartCase + "/signals")
	text := strings.Join(strings.Fields(got.body), " ")
	for _, want := range []string{"Who held its slowest request", "GET /&lt;b&gt; of front took 2.0 s", "3 spans", "1.9 s", "95 %", "2 more operations held it for less", "It began to fail in reserve of stock: no row."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if strings.Contains(got.body, "<b>") {
		t.Error("the name of an operation is shown as markup")
	}
	if page := h.as(t, "viewer").get("/cases/" + apitest.CartCase).body; !strings.Contains(page, "Also seen") || !strings.Contains(page, "service/cart was changed 2m0s before the case began") {
		t.Error("the case does not say what else was seen")
	}
}
