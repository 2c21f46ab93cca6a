package loop

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestIndexFollowsTheLaterCommit(t *testing.T) {
	key := func(service string) heal.FaultKey {
		return heal.FaultKey{Type: heal.Unavailable, Entity: heal.ServiceID(service)}
	}
	inc := func(state heal.CaseState, services ...string) heal.Incident {
		i := heal.Incident{ID: "c1", Scope: heal.DefaultScope, State: state}
		for _, s := range services {
			i.Members = append(i.Members, heal.Member{Role: heal.Primary, Fault: heal.Fault{Key: key(s), Scope: heal.DefaultScope}})
		}
		return i
	}
	x := newIndex(time.Minute, nil)
	x.put(inc(heal.CaseOpen, "cart", "payment"), 7)
	x.put(inc(heal.CaseOpen, "cart"), 5) // committed before, brought here after
	if _, ok := x.Find(heal.DefaultScope, key("payment")); !ok {
		t.Error("payment: got nothing, want the case: an older commit must not hide it")
	}
	x.put(inc(heal.CaseHealed, "cart", "payment"), 9)
	if _, ok := x.Find(heal.DefaultScope, key("cart")); ok || x.Len() != 0 {
		t.Errorf("after its end: got %d cases, want none", x.Len())
	}
}
