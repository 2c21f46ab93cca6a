package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/homeostat/homeostat/internal/api/form"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

const (
	watchPath   = prefix + "/incidents/watch"
	maxWatchers = 200
	// Rest between two looks, so that a busy store costs a watcher at most
	// that many reads.
	watchRest = 50 * time.Millisecond
	// A comment as often as this tells both sides that the other is there.
	watchBeat = 15 * time.Second
	// How long a client may take for one write.
	watchWrite = 10 * time.Second
)

type watchRequest struct {
	Since       int64 `query:"since" minimum:"0" doc:"Every change after this revision is told. Without it, changes from now on."`
	LastEventID int64 `header:"Last-Event-ID" minimum:"0" doc:"Where a reconnecting browser stopped; counts before since."`
}

func (s *server) watch() {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[form.IncidentChange](), true, "IncidentChange")
	op := huma.Operation{
		Method: http.MethodGet, Path: watchPath, OperationID: "watch-incidents", Tags: []string{"incidents"},
		Summary: "Stream changes of cases",
		Description: "Server-sent events. Each has the revision as its id, the name incident or deleted, and an IncidentChange as its data. " +
			"List first, then watch since the list's revision: nothing is missed. " +
			"410 says that changes since that revision are no longer known: list again. The event gone says the same in an open stream, and ends it.",
		Errors:   []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusGone, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		Security: []map[string][]string{{"token": {}}},
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream of changes, without end.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: schema}},
		}},
	}
	s.stream(op, []topic{{store.Incidents, incidentEvent}})
}

// stream registers a watch of the topics.
func (s *server) stream(op huma.Operation, topics []topic) {
	huma.Register(s.api, op, func(ctx context.Context, in *watchRequest) (*huma.StreamResponse, error) {
		w, err := s.newWatcher(ctx, in, topics)
		if err != nil {
			return nil, s.problem(ctx, op.OperationID, err)
		}
		return &huma.StreamResponse{Body: w.stream}, nil
	})
}

// topic is a table that is watched, and how a change of it is told.
type topic struct {
	table store.Table
	event func(w *watcher, c store.Change) (name string, data any, err error) // no name: the watcher may not see it
}

// watcher is one open stream.
type watcher struct {
	server *server
	may    func(heal.Scope) bool
	topics []topic
	at     store.Revision // everything up to here was told
}

// newWatcher takes a slot and makes sure that the changes since are known.
func (s *server) newWatcher(ctx context.Context, in *watchRequest, topics []topic) (*watcher, error) {
	may, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	w := &watcher{server: s, may: may, topics: topics, at: store.Revision(max(in.Since, in.LastEventID))}
	err = s.Store.View(ctx, func(r store.Reader) error {
		if w.at == 0 && in.Since == 0 {
			w.at = r.Revision()
		}
		for _, t := range topics {
			if _, err := r.Changes(t.table, w.at, 1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	select {
	case s.watchers <- struct{}{}:
		return w, nil
	default:
		return nil, later(http.StatusServiceUnavailable, 5*time.Second, "%d streams are open already; try again later", maxWatchers)
	}
}

func (w *watcher) stream(hctx huma.Context) {
	defer func() { <-w.server.watchers }()
	r, rw := humago.Unwrap(hctx)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(stopping(ctx), cancel)()
	out := &events{w: rw, control: http.NewResponseController(rw)}
	_ = out.control.SetReadDeadline(time.Time{}) // a stream outlives the deadline of its request
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.WriteHeader(http.StatusOK)
	if out.comment("watching since "+strconv.FormatInt(int64(w.at), 10)) != nil {
		return
	}
	for ctx.Err() == nil {
		more, err := w.tell(ctx, out)
		if err != nil {
			out.end(err)
			return
		}
		if more {
			continue
		}
		if err := w.rest(ctx, out); err != nil {
			return
		}
	}
}

// pending is a change that is to be told.
type pending struct {
	topic  topic
	change store.Change
}

// tell writes what changed since, in the order of the revisions, at most one
// page of each topic.
func (w *watcher) tell(ctx context.Context, out *events) (more bool, err error) {
	var all []pending
	var until store.Revision
	err = w.server.Store.View(ctx, func(r store.Reader) error {
		all, until, more = nil, r.Revision(), false
		for _, t := range w.topics {
			changes, err := r.Changes(t.table, w.at, store.MaxPage)
			if err != nil {
				return err
			}
			for _, c := range changes {
				all = append(all, pending{t, c})
			}
			if len(changes) == store.MaxPage {
				// What the other topics have beyond this is told with the next page.
				more, until = true, min(until, changes[len(changes)-1].Record.Revision)
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	slices.SortStableFunc(all, func(a, b pending) int { return cmp.Compare(a.change.Record.Revision, b.change.Record.Revision) })
	for _, p := range all {
		if p.change.Record.Revision > until {
			break
		}
		name, data, err := p.topic.event(w, p.change)
		if err != nil {
			return false, err
		}
		if name == "" {
			continue
		}
		if err := out.event(name, int64(p.change.Record.Revision), data); err != nil {
			return false, err
		}
	}
	w.at = max(w.at, until)
	return more, nil
}

// incidentEvent tells of a case, with its summary.
func incidentEvent(w *watcher, c store.Change) (string, any, error) {
	change := form.IncidentChange{Revision: int64(c.Record.Revision), ID: c.Record.Key, Deleted: c.Deleted}
	if c.Deleted {
		return "deleted", change, nil
	}
	incident, err := store.IncidentKind.Decode(c.Record)
	if err != nil || !w.may(incident.Scope) {
		return "", nil, err
	}
	summary := form.OfIncidentSummary(incident, change.Revision)
	change.Incident = &summary
	return "incident", change, nil
}

// rest waits for something newer, and keeps the line warm meanwhile.
func (w *watcher) rest(ctx context.Context, out *events) error {
	timer := time.NewTimer(watchRest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	beat, cancel := context.WithTimeout(ctx, watchBeat)
	defer cancel()
	_, err := w.server.Store.Wait(beat, w.at)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case beat.Err() != nil:
		return out.comment("still here")
	}
	return err
}

// events writes server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (e *events) event(name string, id int64, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", id, name, text))
}

func (e *events) comment(text string) error { return e.write(": " + text + "\n\n") }

// end says why the stream ends, if the client should know.
func (e *events) end(err error) {
	if errors.Is(err, store.ErrCompacted) {
		// An error here means that the client is gone: nobody is left to tell.
		_ = e.write("event: gone\ndata: {\"detail\":\"" + store.ErrCompacted.Error() + "\"}\n\n")
	}
}

func (e *events) write(text string) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(watchWrite)) // not every writer has one
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.control.Flush()
}
