package api_test

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// TestDescription keeps changes of the API from going unnoticed: run it with
// -rewrite and read the difference.
func TestDescription(t *testing.T) {
	const golden = "testdata/openapi.yaml"
	d := open(t, nil)
	got := d.ask("", "GET", "/openapi.yaml", "").body
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the API is described differently (-want +got):\n%s", diff)
	}
}
