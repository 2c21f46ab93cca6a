package ottl

import (
	"context"

	lang "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlresource"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlscope"
	"go.opentelemetry.io/collector/pdata/plog"
)

var logContexts = []string{ottlresource.ContextName, ottlscope.ContextName, ottllog.ContextName}

// logParsers read statements on logs.
func logParsers() []lang.ParserCollectionOption[step[plog.Logs]] {
	return []lang.ParserCollectionOption[step[plog.Logs]]{
		reader(ottlresource.ContextName, ottlresource.NewParser, ottlresource.EnablePathContextNames(), func(s resourceStatement) step[plog.Logs] {
			return func(ctx context.Context, ld plog.Logs, fail func(error)) {
				for _, rl := range ld.ResourceLogs().All() {
					tell(ctx, s, ottlresource.NewTransformContextPtr(rl.Resource(), rl), fail)
				}
			}
		}),
		reader(ottlscope.ContextName, ottlscope.NewParser, ottlscope.EnablePathContextNames(), func(s scopeStatement) step[plog.Logs] {
			return func(ctx context.Context, ld plog.Logs, fail func(error)) {
				for _, rl := range ld.ResourceLogs().All() {
					for _, sl := range rl.ScopeLogs().All() {
						tell(ctx, s, ottlscope.NewTransformContextPtr(sl.Scope(), rl.Resource(), sl, rl), fail)
					}
				}
			}
		}),
		reader(ottllog.ContextName, ottllog.NewParser, ottllog.EnablePathContextNames(), func(s *lang.Statement[*ottllog.TransformContext]) step[plog.Logs] {
			return func(ctx context.Context, ld plog.Logs, fail func(error)) {
				for _, rl := range ld.ResourceLogs().All() {
					for _, sl := range rl.ScopeLogs().All() {
						for _, record := range sl.LogRecords().All() {
							tell(ctx, s, ottllog.NewTransformContextPtr(rl, sl, record), fail)
						}
					}
				}
			}
		}),
	}
}
