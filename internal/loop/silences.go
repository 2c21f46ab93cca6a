package loop

import (
	"context"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/detect"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// maxSilences bounds the silences that are not over, because every alert is
// compared with each of them.
const maxSilences = store.MaxPage

// Silence holds alerts back from now on, or from when it starts; a start that
// is past or left out is now. What the alert stage takes once this has returned
// is judged by it.
func (l *Loop) Silence(ctx context.Context, s heal.Silence) (heal.Silence, error) {
	const op = "silence alerts"
	now := l.now()
	s.ID, s.Created, s.EndedBy = heal.SilenceID(l.newID()), now.UTC(), ""
	if s.Starts.Before(now) {
		s.Starts = now
	}
	s.Starts, s.Ends = s.Starts.UTC(), s.Ends.UTC()
	if err := alert.CheckSilence(&s, now); err != nil {
		return heal.Silence{}, err
	}
	err := l.parts.Store.Update(ctx, func(tx store.Tx) error {
		n, err := tx.Count(store.Silences, notOver(now)...)
		if err == nil && n >= maxSilences {
			err = heal.Errorf(heal.Conflict, op, "%d silences are not over yet, which is the limit; end some", n)
		}
		if err == nil {
			_, err = store.SilenceKind.Put(tx, &s, store.Absent)
		}
		return err
	})
	if err != nil {
		return heal.Silence{}, err
	}
	nudge(l.alerts)
	return s, nil
}

// EndSilence ends a silence early. One that is over is refused with kind
// Conflict.
func (l *Loop) EndSilence(ctx context.Context, id heal.SilenceID, by string) (heal.Silence, error) {
	var ended heal.Silence
	err := l.parts.Store.Update(ctx, func(tx store.Tx) error {
		stored, err := store.SilenceKind.Get(tx, string(id))
		if err != nil {
			return err
		}
		now := l.now()
		ended = stored.Value
		if state := ended.State(now); state == heal.SilenceExpired || state == heal.SilenceEnded {
			return heal.Errorf(heal.Conflict, "end silence "+string(id), "it is %s since %s", state, ended.Ends.Format(time.RFC3339))
		}
		ended.Ends, ended.EndedBy = now.UTC(), by
		_, err = store.SilenceKind.Put(tx, &ended, stored.Revision)
		return err
	})
	if err == nil {
		nudge(l.alerts)
	}
	return ended, err
}

func notOver(now time.Time) []store.Cond {
	return []store.Cond{{Column: "ends", Op: store.Gt, Value: store.Nanos(now)}}
}

// hush is what the alert stage knows of silences; it belongs to that stage.
type hush struct {
	silences alert.Silences // not over when they were read
	judged   bool           // by is what every alert was judged by, or is being
	by       []heal.SilenceID
	left     []string // values of the status column whose alerts are still to be judged
	cursor   string   // within the first of left
}

// readSilences reads the silences that are not over, in the snapshot that
// deliveries are read in: a delivery that came after a silence is judged by it.
func (l *Loop) readSilences(r store.Reader) error {
	stored, _, err := store.SilenceKind.List(r, store.Query{Where: notOver(l.now()), Order: "ends"})
	if err != nil {
		return err
	}
	all := make([]heal.Silence, len(stored))
	for i := range stored {
		all[i] = stored[i].Value
	}
	l.hush.silences, err = alert.NewSilences(all)
	return err
}

// sweepPage is how many alerts are judged anew in one transaction.
const sweepPage = 100

// sweep judges a page of the alerts that fire, after a silence began or ended:
// those held by one that is over count as if they came now, and those that one
// holds now are marked. more says that there are others. Alerts that are
// delivered meanwhile are judged then.
func (l *Loop) sweep(ctx context.Context) (more bool, err error) {
	h := &l.hush
	now := l.now()
	if active := h.silences.Active(now); !h.judged || !slices.Equal(active, h.by) {
		h.judged, h.by, h.left, h.cursor = true, active, []string{store.Silenced}, ""
		if len(active) > 0 {
			h.left = append(h.left, string(heal.Firing), string(heal.Acknowledged))
		}
	}
	if len(h.left) == 0 {
		return false, nil
	}
	var page []store.Stored[heal.Alert]
	var next string
	err = l.parts.Store.View(ctx, func(r store.Reader) error {
		page, next, err = alertKind.List(r, store.Query{
			Where: []store.Cond{{Column: "status", Op: store.Eq, Value: h.left[0]}}, Order: "updated", Cursor: h.cursor, Limit: sweepPage,
		})
		return err
	})
	if err != nil {
		return false, err
	}
	if err := l.rejudge(ctx, page, now); heal.Is(err, heal.Conflict) {
		return true, nil // somebody changed one of them: read them again
	} else if err != nil {
		return false, err
	}
	if h.cursor = next; next == "" {
		h.left = h.left[1:]
	}
	return len(h.left) > 0, nil
}

// rejudge writes those of the alerts whose silence began or ended.
func (l *Loop) rejudge(ctx context.Context, page []store.Stored[heal.Alert], now time.Time) error {
	t := &taking{}
	var were []store.Stored[heal.Alert]
	var events []heal.AlertEvent
	var signals []signal
	for i := range page {
		next, happened, kind := l.hush.silences.Hold(page[i].Value, nil, alert.SignalNone, now)
		if len(happened) == 0 {
			continue
		}
		t.next, were, events = append(t.next, &next), append(were, page[i]), append(events, happened...)
		if kind != alert.SignalNone {
			signals = append(signals, signal{Kind: kind, Fault: detect.FromAlert(next, now)})
		}
	}
	if len(t.next) == 0 {
		return nil
	}
	if err := t.encode(were, events, handOver("silence/"+l.newID(), signals)); err != nil {
		return err
	}
	var revisions []store.Revision
	err := l.parts.Store.Update(ctx, func(tx store.Tx) (err error) {
		if err := l.parts.Share.Fence(tx, dutySignals); err != nil {
			return err
		}
		revisions, err = t.write(tx)
		return err
	})
	if err != nil {
		l.known.forget()
		return err
	}
	l.remembers(t, revisions)
	if len(signals) > 0 {
		nudge(l.faults)
	}
	return nil
}

// remembers keeps alerts as they were just written.
func (l *Loop) remembers(t *taking, revisions []store.Revision) {
	for i, next := range t.next {
		l.known.put(next.Fingerprint, store.Stored[heal.Alert]{Value: *next, Revision: revisions[i]})
	}
}
