package playbook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
)

// Pin is all the text a run of a playbook depends on, and the digest of it. For
// a playbook that calls no other it is its source; for one that does it is a
// bundle of the sources of all.
type Pin struct {
	Digest string // sha256 of Source, in hex
	Source []byte
}

// bundle is the sources of a playbook and of all it calls, in JSON.
type bundle struct {
	Bundle int      `json:"bundle"` // version of this form, 1
	First  string   `json:"first"`  // source of the playbook itself
	Called []string `json:"called"` // sources of those it calls, by id
}

// bundleMark begins every bundle; no source of a playbook begins so and is
// taken, as there is no key of that name.
var bundleMark = []byte(`{"bundle":1,`)

func (c *Compiled) pin() Pin {
	if len(c.called) == 0 {
		return Pin{Digest: c.Digest, Source: c.Source}
	}
	b := bundle{Bundle: 1, First: string(c.Source)}
	for _, id := range slices.Sorted(maps.Keys(c.called)) {
		b.Called = append(b.Called, string(c.called[id].Source))
	}
	data, err := json.Marshal(b)
	if err != nil {
		panic("playbook: encode bundle: " + err.Error()) // a bug: it holds text only
	}
	sum := sha256.Sum256(data)
	return Pin{Digest: hex.EncodeToString(sum[:]), Source: data}
}

// Open reads the source of a Pin, or of a playbook that calls no other, and
// binds it to the actions.
func Open(source []byte, specs map[string]action.Spec) (*Compiled, error) {
	b := bundle{First: string(source)}
	if bytes.HasPrefix(source, bundleMark) {
		b = bundle{}
		if err := json.Unmarshal(source, &b); err != nil {
			return nil, heal.Errorf(heal.Invalid, "open bundle of playbooks", "%w", err)
		}
	}
	p, problems := Parse("pinned", []byte(b.First))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	var beside []*Playbook
	for _, text := range b.Called {
		other, problems := Parse("pinned", []byte(text))
		if err := problems.Err(); err != nil {
			return nil, err
		}
		beside = append(beside, other)
	}
	return Compile(p, specs, beside...)
}
