package ottl

import (
	"context"

	lang "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlresource"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlscope"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspanevent"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var traceContexts = []string{ottlresource.ContextName, ottlscope.ContextName, ottlspan.ContextName, ottlspanevent.ContextName}

// traceParsers read statements on traces.
func traceParsers() []lang.ParserCollectionOption[step[ptrace.Traces]] {
	return []lang.ParserCollectionOption[step[ptrace.Traces]]{
		reader(ottlresource.ContextName, ottlresource.NewParser, ottlresource.EnablePathContextNames(), func(s resourceStatement) step[ptrace.Traces] {
			return func(ctx context.Context, td ptrace.Traces, fail func(error)) {
				for _, rs := range td.ResourceSpans().All() {
					tell(ctx, s, ottlresource.NewTransformContextPtr(rs.Resource(), rs), fail)
				}
			}
		}),
		reader(ottlscope.ContextName, ottlscope.NewParser, ottlscope.EnablePathContextNames(), func(s scopeStatement) step[ptrace.Traces] {
			return func(ctx context.Context, td ptrace.Traces, fail func(error)) {
				for _, rs := range td.ResourceSpans().All() {
					for _, ss := range rs.ScopeSpans().All() {
						tell(ctx, s, ottlscope.NewTransformContextPtr(ss.Scope(), rs.Resource(), ss, rs), fail)
					}
				}
			}
		}),
		reader(ottlspan.ContextName, ottlspan.NewParser, ottlspan.EnablePathContextNames(), func(s *lang.Statement[*ottlspan.TransformContext]) step[ptrace.Traces] {
			return func(ctx context.Context, td ptrace.Traces, fail func(error)) {
				eachSpan(td, func(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
					tell(ctx, s, ottlspan.NewTransformContextPtr(rs, ss, span), fail)
				})
			}
		}),
		reader(ottlspanevent.ContextName, ottlspanevent.NewParser, ottlspanevent.EnablePathContextNames(), func(s *lang.Statement[*ottlspanevent.TransformContext]) step[ptrace.Traces] {
			return func(ctx context.Context, td ptrace.Traces, fail func(error)) {
				eachSpan(td, func(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
					for _, event := range span.Events().All() {
						tell(ctx, s, ottlspanevent.NewTransformContextPtr(rs, ss, span, event), fail)
					}
				})
			}
		}),
	}
}

func eachSpan(td ptrace.Traces, do func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				do(rs, ss, span)
			}
		}
	}
}
