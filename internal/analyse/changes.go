package analyse

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/homeostat/homeostat/internal/cause"
	"github.com/homeostat/homeostat/internal/heal"
)

// readChanges reads what was changed: JSON, an object a change, a line each, in
// a list or under "items"; or CSV. Of what is changed there must be an entity or
// a service, and when.
func (d *Data) readChanges(f *file) error {
	line, ok := f.next()
	if !ok {
		return nil
	}
	if text := strings.TrimSpace(line); strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		return d.eachJSON(f, line, d.jsonChanges)
	}
	header, err := fields(line)
	if err != nil {
		return f.wrong("%v", err)
	}
	return d.rows(f, header, d.change)
}

// jsonChanges reads one change, a list of them, or a page of the API.
func (d *Data) jsonChanges(f *file, data json.RawMessage) error {
	var list []json.RawMessage
	var page struct {
		Items []json.RawMessage `json:"items"`
	}
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")):
		if err := json.Unmarshal(data, &list); err != nil {
			return f.wrong("%v", err)
		}
	case json.Unmarshal(data, &page) == nil && page.Items != nil:
		list = page.Items
	default:
		list = []json.RawMessage{data}
	}
	for _, one := range list {
		fields, err := flat(one)
		if err != nil {
			return f.wrong("a change is no JSON object: %v", err)
		}
		if err := d.change(f, fields); err != nil {
			return err
		}
	}
	return nil
}

// change reads a change by the usual names of its fields.
func (d *Data) change(f *file, r map[string]string) error {
	at, ok := readTime(first(r, "at", "time", "timestamp", "date", "started", "startedat", "createdat"))
	if !ok {
		return f.wrong("the change took effect at %q, %s", first(r, "at", "time", "timestamp", "date", "started", "startedat", "createdat"), timesExpected)
	}
	c := heal.Change{
		ID:   heal.ChangeID(cmp.Or(first(r, "id", "changeid"), fmt.Sprintf("change-%d", len(d.Changes)+1))),
		Kind: heal.ChangeKind(cmp.Or(first(r, "kind", "type"), string(heal.ChangeDeploy))), Entity: entityOf(first(r, "entity", "service", "servicename", "component")),
		At: at, By: first(r, "by", "author", "user"), Summary: first(r, "summary", "message", "description", "title"), Link: first(r, "link", "url"),
		Version: first(r, "version", "tag"), Source: cmp.Or(first(r, "source"), heal.FromCaller),
	}
	if err := c.Validate(); err != nil {
		return f.wrong("%v", err)
	}
	if len(d.Changes) >= maxRecords {
		return f.wrong("there are more than %d changes, expected fewer", maxRecords)
	}
	d.Changes = append(d.Changes, c)
	return nil
}

// changesOf gives the changes of an entity as a diagnosis reads them.
func (d *Data) changesOf(id heal.EntityID) []cause.Change {
	var list []cause.Change
	for i := range d.Changes {
		if c := &d.Changes[i]; c.Entity == id {
			list = append(list, cause.Change{At: c.At, Text: c.Text(), ID: string(c.ID)})
		}
	}
	return list
}
