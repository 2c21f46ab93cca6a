package cli_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/homeostat/homeostat/internal/api/apitest"
	"github.com/homeostat/homeostat/internal/cli"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"homeostat": func() {
		os.Exit(cli.Execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, local()))
	}})
}

// local stands in for the wiring of the real command.
func local() cli.Local {
	return cli.Local{
		Version: "1.2.3",
		Up: func(_ context.Context, path string, named bool, stdout, _ io.Writer) int {
			fmt.Fprintln(stdout, "up with", path, named)
			return cli.ExitOK
		},
		Demo: func(_ context.Context, o cli.DemoOptions, stdout, _ io.Writer) int {
			fmt.Fprintln(stdout, "demo of", o.Fault, o.Once, o.JSON)
			return cli.ExitFailed
		},
		ConfigDefault: func() []byte { return []byte("data_dir: ./homeostat-data\n") },
		ConfigCheck: func(path string, named bool) []config.Problem {
			if !named {
				return nil
			}
			return []config.Problem{{File: path, Line: 3, Key: "server.listen", Text: "is \"x\"", Expected: "host:port"}}
		},
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup:               setup,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"until": until, "width": width, "runid": runID, "calm": calm},
	})
}

type houseKey struct{}

// setup starts a server with a seeded store for each script.
func setup(env *testscript.Env) error {
	t := env.T().(testing.TB)
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(env.WorkDir, "house.db")})
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	house := apitest.New(t, db, nil)
	house.Seed(t)
	house.SeedChanges(t)
	server := httptest.NewServer(house.Handler)
	env.Defer(server.Close)
	for name, token := range house.Tokens {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name+".token"), []byte(token+"\n"), 0o600); err != nil {
			return err
		}
	}
	env.Values[houseKey{}] = house
	env.Values[testKey{}] = t
	env.Setenv("HOMEOSTAT_SERVER", server.URL)
	env.Setenv("HOMEOSTAT_TOKEN_FILE", filepath.Join(env.WorkDir, "admin.token"))
	env.Setenv("CART", apitest.CartCase)
	env.Setenv("PAY", apitest.PayCase)
	env.Setenv("CARTALERT", apitest.CartAlert)
	return nil
}

var idPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// runID NAME keeps the first id on standard output in a variable.
func runID(ts *testscript.TestScript, _ bool, args []string) {
	id := idPattern.FindString(ts.ReadFile("stdout"))
	if id == "" {
		ts.Fatalf("no id on standard output")
	}
	ts.Setenv(args[0], id)
}

// until RUN STATE waits until the run is in the state, or, where that is not an
// end, one of its tasks.
func until(ts *testscript.TestScript, _ bool, args []string) {
	house := ts.Value(houseKey{}).(*apitest.House)
	house.Until(ts.Value(testKey{}).(testing.TB), args[0], func(r *heal.Run) bool {
		for i := range r.Tasks {
			if string(r.Tasks[i].State) == args[1] && !r.Tasks[i].State.Ended() {
				return true
			}
		}
		return string(r.State) == args[1]
	})
}

// sinceThen is what changes in a story from day to day.
var sinceThen = regexp.MustCompile(`\d+d ago`)

// calm FILE keeps standard output in a file without what changes by the day.
func calm(ts *testscript.TestScript, _ bool, args []string) {
	text := sinceThen.ReplaceAllString(ts.ReadFile("stdout"), "DAYS ago")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// width holds that no line of standard output is longer than a table may be.
func width(ts *testscript.TestScript, _ bool, _ []string) {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 100 {
			ts.Fatalf("%d characters, expected at most 100: %s", n, line)
		}
	}
}

type testKey struct{}
