package topology

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Account is everything one source has said about one entity.
type Account struct {
	Source     string            `json:"source"`
	FirstSeen  time.Time         `json:"first_seen"`
	LastSeen   time.Time         `json:"last_seen"`
	Scope      heal.Scope        `json:"scope"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Node is an entity with the accounts of it, sorted by source. A node known
// only as the end of an edge has no account. It must not be changed by who
// receives it.
type Node struct {
	Entity  heal.Entity `json:"entity"` // merged from the accounts
	Sources []Account   `json:"sources,omitempty"`
}

// mergeNode makes one entity of the accounts: where they differ, the source
// seen last is right; of two seen at once, the later in the alphabet.
func mergeNode(id heal.EntityID, accounts map[string]Account, scope heal.Scope) Node {
	node := Node{Entity: heal.Entity{ID: id, Scope: scope}}
	for _, name := range slices.Sorted(maps.Keys(accounts)) {
		node.Sources = append(node.Sources, accounts[name])
	}
	byAge := slices.Clone(node.Sources)
	slices.SortStableFunc(byAge, func(a, b Account) int { return a.LastSeen.Compare(b.LastSeen) })
	for _, a := range byAge {
		node.Entity.Scope = a.Scope
		if node.Entity.Attributes == nil && len(a.Attributes) > 0 {
			node.Entity.Attributes = make(map[string]string, len(a.Attributes))
		}
		maps.Copy(node.Entity.Attributes, a.Attributes)
	}
	return node
}

func compareNodes(a, b Node) int { return cmp.Compare(a.Entity.ID, b.Entity.ID) }

func compareEdges(a, b Edge) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}
