package guard

import (
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// Switch is one kill switch: while it is on, nothing touches its scope.
type Switch struct {
	Scope heal.Scope `json:"scope"` // empty parts stand for every value; all empty: everything
	On    bool       `json:"on"`
	By    string     `json:"by"`
	Why   string     `json:"why"`
	At    time.Time  `json:"at"`
}

// Where names the scope of the switch in words.
func (s Switch) Where() string {
	if s.Scope == (heal.Scope{}) {
		return "everything"
	}
	return s.Scope.String()
}

var switchKind = store.Kind[Switch]{
	Table: store.Switches, Version: 1,
	Key: func(s *Switch) string { return s.Scope.String() },
}

// Turn turns the kill switch of a scope on or off.
func Turn(tx store.Tx, s Switch) error {
	_, err := switchKind.Put(tx, &s, store.Any)
	return err
}

// Switches lists all kill switches, also those that are off.
func Switches(r store.Reader) ([]Switch, error) {
	rows, err := switchKind.All(r, store.Query{})
	list := make([]Switch, len(rows))
	for i := range rows {
		list[i] = rows[i].Value
	}
	return list, err
}

// reaching keeps the switches that are on and reach the scope.
func reaching(all []Switch, scope heal.Scope) []Switch {
	var on []Switch
	for _, s := range all {
		if s.On && s.Scope.Contains(scope) {
			on = append(on, s)
		}
	}
	return on
}
