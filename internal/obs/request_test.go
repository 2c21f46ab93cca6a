package obs_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/homeostat/homeostat/internal/obs"
)

func TestRequestsAreTracedByPattern(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	o := &obs.Obs{Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cases/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/cases/7", nil)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	w := httptest.NewRecorder()
	o.Requests(mux).ServeHTTP(w, r)
	if w.Code != http.StatusTeapot {
		t.Errorf("got status %d, want that of the handler", w.Code)
	}
	var names []string
	for _, s := range spans.Ended() {
		names = append(names, s.Name()+" of "+s.SpanContext().TraceID().String())
	}
	if diff := cmp.Diff(names, []string{"GET /cases/{id} of 0af7651916cd43dd8448eb211c80319c"}); diff != "" {
		t.Errorf("spans (-got +want):\n%s", diff)
	}
}

func TestRequestsCostNothingWithoutExporter(t *testing.T) {
	o := &obs.Obs{Tracer: noop.NewTracerProvider()}
	mux := http.NewServeMux()
	if got := o.Requests(mux); got != http.Handler(mux) {
		t.Errorf("got a wrapper %T, want the router itself", got)
	}
}
