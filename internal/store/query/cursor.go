package query

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
)

// cursor is the place after which the next page begins: the last record's
// value of the ordering column and its key. It names a place, not a position,
// so that records put meanwhile neither repeat nor hide others.
type cursor struct {
	Query uint64  `json:"q"` // of the query it belongs to
	Key   string  `json:"k"`
	Text  *string `json:"t,omitempty"`
	Int   *int64  `json:"i,omitempty"` // both nil: the value is null
}

// fingerprint tells queries apart by all that decides which records come in
// what order.
func fingerprint(q store.Query) (uint64, error) {
	q.Cursor, q.Limit = "", 0
	text, err := json.Marshal(q)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:]), nil
}

func (c cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic("query: encode a cursor: " + err.Error()) // of numbers and strings only
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// maxCursor is the length of the longest cursor: JSON writes a byte as six at
// most, base64 adds a third.
const maxCursor = 8*(MaxKey+MaxText) + 256

// parseCursor reads what String wrote for the same query over a column.
func parseCursor(op, text string, query uint64, column store.Column, nullable bool) (cursor, error) {
	var c cursor
	if len(text) > maxCursor {
		return c, heal.Errorf(heal.Invalid, op, "the cursor is %d bytes long; give back what the page before said", len(text))
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return c, heal.Errorf(heal.Invalid, op, "the cursor %.40q is malformed; give back what the page before said", text)
	}
	if c.Query != query {
		return c, heal.Errorf(heal.Invalid, op, "the cursor belongs to another query; start again without it")
	}
	null := c.Text == nil && c.Int == nil
	if c.Key == "" || c.Text != nil && column.Int || c.Int != nil && !column.Int || null && !nullable {
		return c, heal.Errorf(heal.Invalid, op, "the cursor %.40q names no place; give back what the page before said", text)
	}
	if err := CheckKey(op, c.Key); err != nil {
		return c, err
	}
	if c.Text != nil {
		return c, checkText(op, "the place in the cursor", *c.Text)
	}
	return c, nil
}

// after is the cursor behind a record with the value in the ordering column.
func after(query uint64, key string, value any) cursor {
	c := cursor{Query: query, Key: key}
	switch v := value.(type) {
	case string:
		c.Text = &v
	case int64:
		c.Int = &v
	}
	return c
}

func (c cursor) value() any {
	switch {
	case c.Text != nil:
		return *c.Text
	case c.Int != nil:
		return *c.Int
	}
	return nil
}
