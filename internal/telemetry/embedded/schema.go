package embedded

import (
	"database/sql"
	"encoding/hex"
	"encoding/json"
)

const schemaVersion = 1

// schema is one partition. The id of a row is the time it is found under, in
// nanoseconds; shift is the event time less the id. An index on one column is
// therefore one on that column and time.
const schema = `
BEGIN;
CREATE TABLE log (
	id INTEGER PRIMARY KEY, shift INTEGER NOT NULL, lag INTEGER NOT NULL, -- lag: of observation behind event
	severity INTEGER NOT NULL, service TEXT NOT NULL, instance TEXT, host TEXT,
	trace, span, attributes TEXT, body TEXT NOT NULL
);
CREATE INDEX log_service ON log(service);
CREATE INDEX log_trace ON log(trace) WHERE trace IS NOT NULL;
CREATE VIRTUAL TABLE log_words USING fts5(body, content='log', content_rowid='id', columnsize=0);
CREATE TABLE span (
	id INTEGER PRIMARY KEY, shift INTEGER NOT NULL, duration INTEGER NOT NULL,
	error INTEGER NOT NULL, kind TEXT NOT NULL, service TEXT NOT NULL, instance TEXT,
	operation TEXT NOT NULL, trace, span, parent, message TEXT, attributes TEXT, exceptions TEXT
);
CREATE INDEX span_service ON span(service);
CREATE INDEX span_trace ON span(trace);
CREATE TABLE total (spans INTEGER NOT NULL, logs INTEGER NOT NULL);
INSERT INTO total VALUES (0, 0);
PRAGMA user_version = 1;
COMMIT;`

// packID stores hex digits in half the space, and other text as it is.
func packID(id string) any {
	if id == "" {
		return nil
	}
	if b, err := hex.DecodeString(id); err == nil && hex.EncodeToString(b) == id {
		return b
	}
	return id
}

func unpackID(stored any) string {
	switch v := stored.(type) {
	case []byte:
		return hex.EncodeToString(v)
	case string:
		return v
	}
	return ""
}

// packText stores empty text as nothing.
func packText(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// packJSON stores an empty collection as nothing. Maps of strings and slices
// of plain structs always encode.
func packJSON[T any](n int, v T) any {
	if n == 0 {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic("embedded: encode " + err.Error())
	}
	return string(text)
}

func unpackJSON[T any](stored sql.NullString, into *T) error {
	if !stored.Valid {
		return nil
	}
	return json.Unmarshal([]byte(stored.String), into)
}
