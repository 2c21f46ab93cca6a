package app

import (
	"context"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/playbook"
)

// silent is a metric store without series.
type silent struct{}

func (silent) Value(context.Context, string) (float64, bool, error) { return 0, false, nil }

// realSpecs are the actions of a default installation.
func realSpecs(t *testing.T) map[string]action.Spec {
	t.Helper()
	cfg := Default()
	cfg.DataDir = t.TempDir()
	d, err := newDrivers(&cfg, silent{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.process.Close(); err != nil {
			t.Error(err)
		}
	})
	return d.set.Specs()
}

// TestShippedPlaybooksCompile carries every task of every shipped playbook as
// far as a driver's door: with the actions there are, and with the outputs of
// the tasks before, all there or all missing.
func TestShippedPlaybooksCompile(t *testing.T) {
	specs := realSpecs(t)
	cfg := Default()
	books, err := loadPlaybooks(&cfg, specs)
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(playbook.Shipped(), "*.yaml")
	if err != nil || len(books) != len(files) || len(files) < 7 {
		t.Fatalf("got %d playbooks of %d files, %v, want all", len(books), len(files), err)
	}
	for _, p := range books {
		for _, outputs := range []bool{false, true} {
			run := runOf(p, outputs)
			book := engine.NewBook(p)
			for _, task := range p.Order() {
				if _, err := book.Work(run, task.ID, false); err != nil {
					t.Errorf("playbook %s, task %s, outputs there: %t: %v", p.ID, task.ID, outputs, err)
				}
				if task.Rollback == nil {
					continue
				}
				if _, err := book.Work(run, task.ID, true); err != nil {
					t.Errorf("playbook %s, undo of task %s: %v", p.ID, task.ID, err)
				}
			}
		}
	}
}

// runOf is a run whose tasks have all succeeded, or all failed.
func runOf(p *playbook.Compiled, outputs bool) *heal.Run {
	run := &heal.Run{ID: "r", IncidentID: "i", Target: `service/o"dd`, Attempt: 1, Facts: heal.Facts{Title: "a case", Labels: map[string]string{"mountpoint": "/var"}}}
	for _, task := range p.Order() {
		tr := heal.TaskRun{ID: task.ID, Action: task.Action, State: heal.RunFailed, Attempt: 1}
		if outputs {
			tr.State, tr.Output = heal.RunSucceeded, map[string]any{}
			for _, name := range p.Spec(task.Action).Outputs {
				tr.Output[name] = 2.5
			}
		}
		run.Tasks = append(run.Tasks, tr)
	}
	return run
}

// TestShippedPlaybooksThatOnlyLookChangeNothing keeps their words true.
func TestShippedPlaybooksThatOnlyLookChangeNothing(t *testing.T) {
	cfg := Default()
	books, err := loadPlaybooks(&cfg, realSpecs(t))
	if err != nil {
		t.Fatal(err)
	}
	var looking []string
	for _, p := range books {
		if strings.Contains(p.Description, "it changes nothing") {
			looking = append(looking, p.ID)
			if p.Impact() != action.Harmless {
				t.Errorf("playbook %s says it changes nothing and has the impact %s", p.ID, p.Impact())
			}
		}
	}
	if want := []string{"check-database-errors", "troubleshoot-slow-service"}; !slices.Equal(looking, want) {
		t.Errorf("playbooks that change nothing: got %v, want %v", looking, want)
	}
}
