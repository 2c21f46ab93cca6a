package audit

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Report is what a look at the whole chain found.
type Report struct {
	Intact   bool
	Entries  int64 // sealed
	Seals    int64
	Unsealed int64 // too young to be in the chain
	Since    time.Time
	Head     Head
	Faults   []Fault // the first ones, at most maxFaults
}

// Fault is one place where the record is not what it was.
type Fault struct {
	Seal int64  // number of the seal that tells
	ID   string // of the entry; empty: the seal itself
	Text string
}

const maxFaults = 100

// Verify reads the whole record and its chain and says whether anything was
// edited, deleted, put in or cut off. anchors are heads kept outside the store:
// the chain must hold each of them.
func Verify(r store.Reader, anchors ...Head) (Report, error) {
	v := verifier{r: r, anchors: slices.Clone(anchors)}
	rows, cursor, err := SealKind.List(r, store.Query{Order: "number"})
	for {
		if err != nil {
			return Report{}, heal.Wrap("verify the audit", err)
		}
		for i := range rows {
			if err := v.seal(&rows[i].Value); err != nil {
				return Report{}, heal.Wrap("verify the audit", err)
			}
		}
		if cursor == "" {
			break
		}
		rows, cursor, err = SealKind.List(r, store.Query{Order: "number", Cursor: cursor})
	}
	return v.finish()
}

type verifier struct {
	r       store.Reader
	anchors []Head
	last    Seal
	report  Report
}

func (v *verifier) fault(seal int64, id, format string, args ...any) {
	if len(v.report.Faults) < maxFaults {
		v.report.Faults = append(v.report.Faults, Fault{Seal: seal, ID: id, Text: fmt.Sprintf(format, args...)})
	}
}

// seal checks one link and the entries it names.
func (v *verifier) seal(s *Seal) error {
	switch {
	case s.Number != v.last.Number+1:
		v.fault(s.Number, "", "seal %d follows seal %d: what is between them was deleted", s.Number, v.last.Number)
	case s.Prev != v.last.Hash:
		v.fault(s.Number, "", "seal %d does not follow from seal %d: one of them was changed", s.Number, v.last.Number)
	}
	if s.Hash != s.hash() {
		v.fault(s.Number, "", "seal %d was changed: it does not have the hash it tells", s.Number)
	}
	for _, a := range v.anchors {
		if a.Number == s.Number && a.Hash != s.Hash {
			v.fault(s.Number, "", "seal %d is not the one that the head kept outside names: the record was written anew", s.Number)
		}
	}
	there, err := v.between(s.From, s.To)
	if err != nil {
		return err
	}
	v.compare(s, there)
	if v.report.Seals == 0 {
		v.report.Since = s.At
	}
	v.report.Seals++
	v.report.Entries += int64(len(s.Marks))
	v.report.Head = Head{Number: s.Number, Hash: s.Hash}
	v.last = *s
	return nil
}

// compare finds what of a seal's entries is not there any more, is there
// otherwise, or was not there then.
func (v *verifier) compare(s *Seal, there map[string]Mark) {
	for _, m := range s.Marks {
		now, ok := there[m.ID]
		switch {
		case !ok:
			v.fault(s.Number, m.ID, "entry %s was deleted", m.ID)
		case now != m:
			v.fault(s.Number, m.ID, "entry %s was changed", m.ID)
		}
		delete(there, m.ID)
	}
	added := make([]Mark, 0, len(there))
	for _, m := range there {
		added = append(added, m)
	}
	slices.SortFunc(added, func(a, b Mark) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, m := range added {
		v.fault(s.Number, m.ID, "entry %s was put in after the seal", m.ID)
	}
}

// between reads the entries after one revision up to another.
func (v *verifier) between(from, to store.Revision) (map[string]Mark, error) {
	found := map[string]Mark{}
	q := store.Query{Table: store.Audit, Order: "revision", Where: []store.Cond{
		{Column: "revision", Op: store.Gt, Value: int64(from)}, {Column: "revision", Op: store.Le, Value: int64(to)},
	}}
	for {
		page, err := v.r.List(q)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Records {
			found[r.Key] = markOf(r)
		}
		if page.Cursor == "" {
			return found, nil
		}
		q.Cursor = page.Cursor
	}
}

func (v *verifier) finish() (Report, error) {
	for _, a := range v.anchors {
		if a.Number > v.last.Number {
			v.fault(v.last.Number, "", "the chain ends at seal %d, but seal %d was kept outside: its end was cut off", v.last.Number, a.Number)
		}
	}
	n, err := v.r.Count(store.Audit, store.Cond{Column: "revision", Op: store.Gt, Value: int64(v.last.To)})
	if err != nil {
		return Report{}, heal.Wrap("verify the audit", err)
	}
	v.report.Unsealed = n
	v.report.Intact = len(v.report.Faults) == 0
	return v.report, nil
}
