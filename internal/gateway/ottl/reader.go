package ottl

import (
	"context"
	"fmt"
	"slices"
	"strings"

	lang "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlresource"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlscope"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"

	"github.com/homeostat/homeostat/internal/heal"
)

type (
	resourceStatement = *lang.Statement[*ottlresource.TransformContext]
	scopeStatement    = *lang.Statement[*ottlscope.TransformContext]
)

// newParser is how every context makes its parser.
type newParser[K any] func(map[string]lang.Factory[K], component.TelemetrySettings, ...lang.Option[K]) (lang.Parser[K], error)

// reader makes a step of each statement that speaks of one context.
func reader[K, T any](name string, parser newParser[K], names lang.Option[K], carryOut func(*lang.Statement[K]) step[T]) lang.ParserCollectionOption[step[T]] {
	p, err := parser(ottlfuncs.StandardFuncs[K](), settings(), names)
	if err != nil {
		return func(*lang.ParserCollection[step[T]]) error { return err }
	}
	return lang.WithParserCollectionContext(name, &p, lang.WithStatementConverter(
		func(_ *lang.ParserCollection[step[T]], _ lang.StatementsGetter, statements []*lang.Statement[K]) (step[T], error) {
			if len(statements) != 1 {
				return nil, fmt.Errorf("holds %d statements, expected one", len(statements))
			}
			return carryOut(statements[0]), nil
		}))
}

// closer is a context, which is pooled.
type closer interface{ Close() }

// tell carries a statement out on one item.
func tell[K closer](ctx context.Context, s *lang.Statement[K], item K, fail func(error)) {
	defer item.Close()
	if _, _, err := s.Execute(ctx, item); err != nil {
		fail(fmt.Errorf("%s: %w", s, err))
	}
}

// nearestEditor gives the function that changes something whose name was most
// likely meant, empty if there is none near or the name is right.
func nearestEditor(name string) string {
	var editors []string
	for known := range ottlfuncs.StandardFuncs[*ottlspan.TransformContext]() {
		if known == name {
			return ""
		}
		if strings.ToLower(known) == known { // the others are converters, which change nothing by themselves
			editors = append(editors, known)
		}
	}
	slices.Sort(editors)
	return heal.Nearest(name, editors)
}
