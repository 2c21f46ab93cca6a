package loop

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// storedCase is a case as it ends, with what a diagnosis leaves in it.
func storedCase(i int) heal.Incident {
	inc := heal.Incident{
		ID: heal.IncidentID(fmt.Sprintf("00000000-0000-7000-8000-%012d", i)), State: heal.CaseClosed, Severity: heal.Warning, Scope: heal.DefaultScope,
		BeganAt: t0, DetectedAt: t0, EndedAt: t0.Add(time.Hour), UpdatedAt: t0.Add(time.Duration(i) * time.Minute), Diagnosis: &heal.Diagnosis{},
	}
	for k := range 3 {
		value := 12.5
		inc.Members = append(inc.Members, heal.Member{Role: heal.Secondary, Fault: heal.Fault{
			Key:   heal.FaultKey{Type: heal.ErrorsRaised, Entity: heal.ServiceID(fmt.Sprintf("service-%d", (i+k)%500))},
			Scope: heal.DefaultScope.WithService(fmt.Sprintf("service-%d", (i+k)%500)), AlertName: "HighErrorRate", AlertID: "a", Source: "rules", Severity: heal.Warning,
			Began: t0.Add(time.Duration(i*50+k) * time.Minute), Detected: t0, LastSeen: t0.Add(time.Minute), ClearedAt: t0.Add(time.Hour), Message: "more than 5 % of requests fail",
			Values:    heal.Values{"value": value},
			Condition: heal.Condition{Kind: heal.ConditionPromQL, Expr: `sum(rate(errors[1m])) > 0.05`, Labels: map[string]string{"service_name": "cart"}},
			Evidence:  []heal.Evidence{{Kind: heal.EvidenceAlert, Summary: "rules raised HighErrorRate", Value: &value}},
		}})
		for range 4 {
			inc.Diagnosis.Causes = append(inc.Diagnosis.Causes, heal.Cause{
				Entity: "service/cart", For: []heal.Reason{{Code: "errors", Text: "errors are 12 times what is usual", Evidence: inc.Members[0].Fault.Evidence, Data: map[string]any{"value": value}}},
			})
		}
	}
	return inc
}

// TestPastCaseIsReadAsItIs: what is learnt from a stored case is what the case has.
func TestPastCaseIsReadAsItIs(t *testing.T) {
	inc := storedCase(7)
	rec, err := store.IncidentKind.Encode(&inc, store.Absent)
	if err != nil {
		t.Fatal(err)
	}
	past, err := pastCaseKind.Decode(rec)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []heal.Fault
	for i := range inc.Members {
		got = append(got, past.Members[i].Fault.Fault)
		f := inc.Members[i].Fault
		f.Values, f.Condition, f.Evidence = nil, heal.Condition{}, nil
		want = append(want, f)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

// BenchmarkRecallOnsets is a start with as many cases as are read, an operation.
func BenchmarkRecallOnsets(b *testing.B) {
	s := newStages(b)
	for first := 0; first < onsetCases; first += 500 {
		s.check(s.parts.Store.Update(s.ctx, func(tx store.Tx) error {
			for i := range 500 {
				inc := storedCase(first + i)
				if _, err := store.IncidentKind.Put(tx, &inc, store.Absent); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	s.opts.Clock = func() time.Time { return t0.Add(7 * 24 * time.Hour) }
	b.ReportAllocs()
	for b.Loop() {
		s.onsets = newOnsets(&s.opts)
		s.recallOnsets(context.Background())
	}
	if s.onsets.Len() != 500 {
		b.Fatalf("got %d kinds, want 500", s.onsets.Len())
	}
}
