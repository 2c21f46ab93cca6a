package obs

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"

	"github.com/homeostat/homeostat/internal/heal"
)

// scope is the instrumentation scope of what Homeostat says about itself.
const scope = "github.com/homeostat/homeostat"

func localHandler(o Options) slog.Handler {
	opts := &slog.HandlerOptions{Level: o.Level}
	if o.JSON {
		return slog.NewJSONHandler(o.Logs, opts)
	}
	return slog.NewTextHandler(o.Logs, opts)
}

func (o *Obs) buildLogger(ctx context.Context, opts Options, p part) error {
	if opts.Endpoint == "" {
		o.Logger = slog.New(p.local)
		return nil
	}
	exporter, err := otlploghttp.New(ctx,
		otlploghttp.WithEndpointURL(opts.Endpoint+"/v1/logs"),
		otlploghttp.WithHeaders(opts.Headers),
		otlploghttp.WithTimeout(opts.Timeout))
	if err != nil {
		return heal.Errorf(heal.Invalid, "own logs by OTLP", "%w", err)
	}
	provider := sdklog.NewLoggerProvider(
		sdklog.WithResource(p.resource),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(countedLogs{exporter, p.failures})))
	o.closers = append(o.closers, provider.Shutdown)

	remote := otelslog.NewHandler(scope, otelslog.WithLoggerProvider(provider))
	o.Logger = slog.New(slog.NewMultiHandler(p.local, atLeast{remote, opts.Level}))
	return nil
}

// atLeast passes on what has the level or a higher one.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}
