package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLibpqSettings(t *testing.T) {
	tests := []struct {
		name string
		dsn  DSN
		want map[string]string
	}{
		{"URL", "postgres://u:p@h/d?sslmode=require&sslrootcert=%2Fa%20b%2Bc.pem", map[string]string{"sslmode": "require", "sslrootcert": "/a b+c.pem"}},
		{"pairs", `host=h  sslmode = require sslcert='/a b\'c.pem' sslkey=/k\ l`, map[string]string{"host": "h", "sslmode": "require", "sslcert": "/a b'c.pem", "sslkey": "/k l"}},
		{"a quote that is not closed", "sslcert='/a", map[string]string{"sslcert": "/a"}},
		{"nothing", "", map[string]string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.dsn.libpqSettings()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzDSN(f *testing.F) {
	for _, seed := range []string{"postgres://u:p@h/d?sslmode=require", "host=h password='a b\\'c'", "postgres://%zz?%zz=%zz", "='", "a"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = DSN(text).libpqSettings() // must end, and not panic
	})
}
