package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// FuzzAlertsIn holds that what is sent for a file is always JSON.
func FuzzAlertsIn(f *testing.F) {
	for _, seed := range []string{``, `{}`, `[]`, `{"alerts":1}`, `[{"alert_name":"x"}]`, `7`, "\xff", `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := alertsIn("f.json", data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(in); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	})
}

// FuzzTable holds that nothing from outside moves the cursor, and that rows
// stay rows of at most the width.
func FuzzTable(f *testing.F) {
	f.Add("cart", "is \x1b[31mnot\x07 reachable\nat all")
	f.Add("", strings.Repeat("w", 300))
	f.Add("\u202e\u0000\xff", "日本語")
	f.Fuzz(func(t *testing.T, name, text string) {
		p := &page{}
		p.table([]string{"ID", "NAME", "TEXT"}, [][]string{{"x", name, text}, {"y", "z", ""}}, 1, 2)
		p.wrapped("  ", text)
		for line := range strings.Lines(p.out.String()) {
			line = strings.TrimSuffix(line, "\n")
			for _, r := range line {
				if !unicode.IsPrint(r) {
					t.Errorf("%q has %U", line, r)
				}
			}
		}
		rows := strings.Split(p.out.String(), "\n")[:3]
		for _, row := range rows {
			if n := len([]rune(row)); n > width {
				t.Errorf("%d characters: %q", n, row)
			}
		}
	})
}
