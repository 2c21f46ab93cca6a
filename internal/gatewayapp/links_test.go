package gatewayapp

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTheBinaryIsSmall holds what runs on every node against what must not be
// there: stores, a Kubernetes client, anything that starts programs.
func TestTheBinaryIsSmall(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/homeostat/homeostat/cmd/homeostat-gateway").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	if len(linked) < 100 {
		t.Fatalf("got %d packages, which cannot be all", len(linked))
	}
	refused := []string{
		"database/sql", "os/exec", "plugin", "modernc.org/", "github.com/jackc/", "k8s.io/", "github.com/google/cel-go",
		"github.com/prometheus/", "go.opentelemetry.io/otel/sdk",
	}
	for _, name := range linked {
		for _, no := range refused {
			if name == strings.TrimSuffix(no, "/") || strings.HasPrefix(name, no) && strings.HasSuffix(no, "/") || strings.HasPrefix(name, no+"/") && name != "database/sql/driver" {
				t.Errorf("the gateway links %s", name)
			}
		}
		if strings.HasPrefix(name, "github.com/homeostat/homeostat/internal/store") || strings.HasPrefix(name, "github.com/homeostat/homeostat/internal/action") {
			t.Errorf("the gateway links %s", name)
		}
	}
}
