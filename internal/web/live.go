package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/api/form"
)

const (
	// liveRest is the least time between two tellings, so that a storm of changes
	// makes a page look again a few times a second, not a thousand times.
	liveRest = 250 * time.Millisecond
	// liveTurn is how long one stream lasts. The browser opens the next by itself,
	// and with it proves anew who it is.
	liveTurn = 5 * time.Minute
	liveBeat = 10 * time.Second
	// liveWrite is how long a browser may take for one write.
	liveWrite = 10 * time.Second
)

// live tells a page when to look again: a stream of events "change", each with
// the revision as its id. Of the many changes of the API's stream it passes on
// those of what the page shows.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies must not hold events back
	out := func(text string) error {
		_ = control.SetWriteDeadline(time.Now().Add(liveWrite)) // not every writer has one
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		return control.Flush()
	}
	now, ok := s.sessionOf(r)
	if !ok {
		_ = out("event: signedout\ndata: -\n\n") // the browser is gone, if not
		return
	}
	_ = control.SetReadDeadline(time.Time{}) // a stream outlives the deadline of its request
	ctx, cancel := context.WithTimeout(r.Context(), min(liveTurn, now.Until.Sub(s.Clock())))
	defer cancel()
	since := r.URL.Query().Get("since")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		since = last
	}
	stream := s.door.stream(ctx, now.Token, "/watch"+query("since", since))
	defer stream.close()
	if err := out("retry: 500\n\n"); err != nil {
		return
	}
	about := interest{what: r.URL.Query().Get("what"), id: r.URL.Query().Get("id")}
	switch err := relay(ctx, stream, about, out); {
	case statusOf(err) == http.StatusUnauthorized:
		_ = out("event: signedout\ndata: -\n\n")
	case statusOf(err) == http.StatusGone:
		// What changed since is not known any more: the page looks again, and the
		// next stream begins at the revision of now.
		_ = out("id: 0\nevent: change\ndata: gone\n\n")
	}
}

// relay passes changes on, the last of a burst for sure, until ctx ends or
// either side is gone.
func relay(ctx context.Context, in *stream, about interest, out func(string) error) error {
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	var rest <-chan time.Time // set while resting
	waits := ""               // the id of a change that came meanwhile
	tell := func(id string) error {
		waits, rest = "", time.After(liveRest)
		return out("id: " + id + "\nevent: change\ndata: " + id + "\n\n")
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if err := out(": still here\n\n"); err != nil {
				return err
			}
		case <-rest:
			rest = nil
			if waits != "" {
				if err := tell(waits); err != nil {
					return err
				}
			}
		case e, ok := <-in.events:
			switch {
			case !ok:
				return in.err
			case !about.has(e):
			case rest != nil:
				waits = e.id
			default:
				if err := tell(e.id); err != nil {
					return err
				}
			}
		}
	}
}

// interest is what a page shows: everything of some kinds, or one case or run.
type interest struct{ what, id string }

func (i interest) has(e change) bool {
	switch {
	case e.name == "switch":
		return true
	case i.id != "":
		return e.ID == i.id || e.Incident == i.id
	case i.what != "":
		return strings.Contains(","+i.what+",", ","+e.name+",")
	}
	return true
}

// change is one event of the API's stream.
type change struct {
	id, name string
	form.Change
}

// stream is an open stream of the API. err says why it ended, once events is
// closed.
type stream struct {
	events chan change
	err    error
	stop   context.CancelFunc
	ended  chan struct{}
}

func (s *stream) close() {
	s.stop()
	<-s.ended
}

// stream opens a stream of the API.
func (d door) stream(ctx context.Context, token, path string) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{events: make(chan change), stop: cancel, ended: make(chan struct{})}
	read, write := io.Pipe()
	w := &piped{kept: kept{header: http.Header{}}, to: write}
	served := make(chan struct{})
	go func() {
		defer close(served)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, prefix+path, nil)
		if err == nil {
			r.RemoteAddr = "page"
			r.Header.Set("Authorization", "Bearer "+token)
			d.api.ServeHTTP(w, r)
		}
		_ = write.CloseWithError(errors.Join(err, io.EOF)) // never an error
	}()
	go func() {
		defer close(s.ended)
		s.read(ctx, read)
		cancel()
		_ = read.Close() // never an error
		<-served
		if w.status >= http.StatusBadRequest {
			s.err = refusalOf(w.status, w.body.Bytes())
		}
		close(s.events)
	}()
	return s
}

// read takes events until the stream ends.
func (s *stream) read(ctx context.Context, from io.Reader) {
	lines := bufio.NewScanner(from)
	var e change
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			if e.name == "gone" {
				s.err = &refusal{Status: http.StatusGone, Detail: "changes since then are no longer known"}
				return
			}
			if json.Unmarshal([]byte(value), &e.Change) != nil {
				return
			}
			select {
			case s.events <- e:
			case <-ctx.Done():
				return
			}
			e = change{}
		}
	}
}

// piped passes what is written on; an answer that is an error is kept.
type piped struct {
	kept
	to *io.PipeWriter
}

func (p *piped) Write(data []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.status >= http.StatusBadRequest {
		return p.kept.Write(data)
	}
	return p.to.Write(data)
}

// Flush does nothing: what is written has been read.
func (*piped) Flush() {}
