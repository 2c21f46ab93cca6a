package api

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzBadJSON holds that what passes the door is JSON that a decoder can read,
// and that a complaint is text for people.
func FuzzBadJSON(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"a":[1,{"b":"\""}]}`, "{\"a\":\n  nope}", "{\"a\":\"\xff\"}", `[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[`, `{"a":"[[[["}`, `1 2`, `"\`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := badJSON(data)
		if text == "" && (!json.Valid(data) || !utf8.Valid(data)) {
			t.Errorf("%q passes", data)
		}
		if !utf8.ValidString(text) {
			t.Errorf("%q is complained about in %q", data, text)
		}
	})
}
