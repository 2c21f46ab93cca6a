package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/homeostat/homeostat/internal/heal"
)

// description is the head of the OpenAPI document.
func (s *server) description() huma.Config {
	config := huma.DefaultConfig("Homeostat", cmp.Or(s.Version.Version, "dev"))
	config.CreateHooks = nil // no $schema links in answers
	config.DocsPath, config.SchemasPath = "", ""
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{tidy}
	config.Info.Description = "Self-healing operations: cases, alerts, runs, playbooks. " +
		"Every answer that is an error is a problem document (RFC 9457). " +
		"Lists come in pages of at most 500. Writes take an Idempotency-Key."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "Authorization: Bearer hst_..."},
	}
	return config
}

// finishDescription says that lists are never null, which holds for answers and
// is asked of requests.
func (s *server) finishDescription() {
	for _, schema := range s.api.OpenAPI().Components.Schemas.Map() {
		for _, property := range schema.Properties {
			if property.Type == huma.TypeArray {
				property.Nullable = false
			}
		}
	}
}

// route is one operation before it is registered.
type route struct {
	method, path, id, tag, summary, about string
	status                                int   // of success; default 200
	errors                                []int // besides 401, 403 and 500
	open                                  bool  // has a secret of its own instead of a token
	unaudited                             bool  // a write that changes nothing people answer for
}

// body is an answer with nothing but a body.
type body[T any] struct{ Body T }

func answer[T any](v T) *body[T] { return &body[T]{Body: v} }

// Write is what every write takes. It, ByID and Paging are exported because huma
// passes over embedded structs that are not.
type Write struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"200" doc:"Any text of your own. The same request with the same key is carried out once and answered the same for a day; another request with the same key is refused with 409."`
}

// ByID names one thing.
type ByID struct {
	ID string `path:"id" maxLength:"128" doc:"Its id."`
}

// Paging asks for one page.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"4096" doc:"From the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"Most items of the page."`
}

// handle registers an operation whose errors become problem documents.
func handle[I, O any](s *server, r route, f func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		Method: r.method, Path: prefix + r.path, OperationID: r.id, Tags: []string{r.tag}, Summary: r.summary, Description: r.about,
		DefaultStatus:   cmp.Or(r.status, http.StatusOK),
		Errors:          append([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable}, r.errors...),
		MaxBodyBytes:    -1, // admit has read and bounded it
		BodyReadTimeout: -1,
		Security:        []map[string][]string{{"token": {}}},
	}
	if r.method != http.MethodGet {
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge)
	}
	if r.open {
		op.Security = []map[string][]string{{}, {"token": {}}}
		op.SkipValidateBody = true // its adapter reads it
	}
	slices.Sort(op.Errors)
	op.Errors = slices.Compact(op.Errors)
	if r.method != http.MethodGet && !r.open && !r.unaudited {
		f = audited(s, r, f)
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, r.id, err)
		}
		return out, nil
	})
}

// missing is the error for something that is not there.
func missing(what, id string) error {
	return heal.Errorf(heal.NotFound, "", "there is no %s %q", what, clip(id, 80))
}
