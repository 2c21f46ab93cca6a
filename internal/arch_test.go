// Package internal_test holds the rules of the architecture: who may import
// whom, what is pure, who owns which library. It is for rules that a person
// would otherwise have to remember in review; what a linter checks is not here.
//
// Its one invariant: every rule can fail, and a test below shows it failing.
package internal_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/homeostat/homeostat/"

func TestArchitecture(t *testing.T) {
	files, problems := load(os.DirFS(".."))
	if len(files) == 0 {
		t.Fatal("no Go files found above internal/")
	}
	for _, p := range append(problems, check(files)...) {
		t.Error(p)
	}
}

func TestPureFilesExist(t *testing.T) {
	for _, name := range pureFiles {
		if _, err := os.Stat("../" + name); err != nil {
			t.Errorf("pureFiles names %s: %v", name, err)
		}
	}
}

func TestDependenciesHaveReasons(t *testing.T) {
	text, err := os.ReadFile("../docs/RATIONALE.md")
	if err != nil {
		t.Fatal(err)
	}
	for library := range owners {
		name := strings.TrimSuffix(library, "/")
		if !bytes.Contains(text, []byte(name)) {
			t.Errorf("docs/RATIONALE.md says nothing about %s", name)
		}
	}
}

// file is one parsed Go file, with the folder it lies in.
type file struct {
	name, dir string
	test      bool
	lines     int
	syntax    *ast.File
	fset      *token.FileSet
}

// load parses the Go files of the product's module.
func load(tree fs.FS) (files []file, problems []string) {
	fset := token.NewFileSet()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == "." {
				return nil
			}
			_, err := fs.Stat(tree, name+"/go.mod")
			otherModule := err == nil
			if otherModule || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			problems = append(problems, err.Error())
			return nil
		}
		if ast.IsGenerated(syntax) {
			return nil
		}
		files = append(files, file{
			name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
			lines: bytes.Count(source, []byte("\n")), syntax: syntax, fset: fset,
		})
		return nil
	})
	if err != nil {
		problems = append(problems, err.Error())
	}
	return files, problems
}

// check applies every rule and gives what breaks them.
func check(files []file) (problems []string) {
	documented := map[string]bool{}
	for _, f := range files {
		documented[f.dir] = documented[f.dir] || f.syntax.Doc != nil
		problems = append(problems, checkFile(f)...)
		if f.test {
			problems = append(problems, checkTestImports(f)...)
			continue
		}
		problems = append(problems, checkImports(f)...)
		if isSuite(f.dir) {
			problems = append(problems, checkTestImports(f)...)
		} else {
			problems = append(problems, checkOwners(f)...)
		}
		if isPure(f) {
			problems = append(problems, checkPure(f)...)
		}
	}
	for dir, ok := range documented {
		if !ok {
			problems = append(problems, dir+": no file has a package comment: what it is for, its one invariant, what it is not for")
		}
	}
	slices.Sort(problems)
	return problems
}

func checkFile(f file) (problems []string) {
	if f.lines > maxLines {
		problems = append(problems, fmt.Sprintf("%s: %d lines, at most %d; split it by what it is about", f.name, f.lines, maxLines))
	}
	if slices.Contains(vagueNames, path.Base(f.dir)) {
		problems = append(problems, fmt.Sprintf("%s: the package name %q says nothing; name what it is", f.name, path.Base(f.dir)))
	}
	for _, d := range f.syntax.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			problems = append(problems, f.at(fn.Pos())+": func init registers behind the reader's back; call it from the wiring")
		}
	}
	return problems
}

// checkImports holds the table of imports among our own packages.
func checkImports(f file) (problems []string) {
	for _, spec := range f.syntax.Imports {
		to, ours := strings.CutPrefix(importPath(spec), module)
		if !ours {
			continue
		}
		if why := refused(f.dir, to); why != "" {
			problems = append(problems, f.at(spec.Pos())+": imports "+to+": "+why)
		}
	}
	return problems
}

// refused says why a package in folder from may not import folder to; "" if it
// may.
func refused(from, to string) string {
	target, internal := strings.CutPrefix(to, "internal/")
	switch {
	case from == "bench" && target == "store/pgtest": // it measures on a real server too
		return ""
	case isSuite(target) && !isSuite(from):
		return "suites are imported by tests only"
	case under(from, "cmd/"), under(from, "bench/"), under(from, "eval/"), under(from, "test/"):
		return "" // what runs the whole joins what it needs
	case under(from, "examples/"):
		if under(to, path.Dir(from)+"/") || under(to, "examples/") {
			return ""
		}
		return "examples are programs like a user's and know nothing of Homeostat"
	case !under(from, "internal/"):
		return "only cmd, bench, eval, test, examples and internal hold code"
	}
	self := strings.TrimPrefix(from, "internal/")
	root, _, _ := strings.Cut(self, "/")
	if slices.Contains(wiring, root) {
		return ""
	}
	allowed, known := lookup(self)
	switch {
	case !known:
		return "internal/" + root + " is not in the table of internal/arch_table_test.go"
	case !internal:
		return "only the wiring reaches outside internal"
	case slices.Contains(allowed, target), under(target, self) && !isDriver(target):
		return ""
	case isDriver(target):
		return "drivers are imported by the wiring, commands and tests only; use the contract"
	}
	return fmt.Sprintf("%s may import %v", self, allowed)
}

// lookup joins the lines of the table for a package and the packages above it.
func lookup(self string) (allowed []string, known bool) {
	for dir := self; dir != "."; dir = path.Dir(dir) {
		line, ok := imports[dir]
		known = known || ok
		allowed = append(allowed, line...)
		if dir != self {
			allowed = append(allowed, dir)
		}
	}
	return allowed, known
}

// checkOwners holds that each third-party library is known in few places.
func checkOwners(f file) (problems []string) {
	for _, spec := range f.syntax.Imports {
		to := importPath(spec)
		if !thirdParty(to) {
			continue
		}
		library, who := owner(to)
		switch {
		case matchesAny(to, testOnly):
			problems = append(problems, f.at(spec.Pos())+": imports "+to+", which is for tests only")
		case library == "":
			problems = append(problems, f.at(spec.Pos())+": imports "+to+", which has no owner; add it to internal/arch_table_test.go and say why in docs/RATIONALE.md")
		case !slices.ContainsFunc(who, func(dir string) bool { return under(f.dir, dir) }):
			problems = append(problems, fmt.Sprintf("%s: imports %s, which belongs to %v", f.at(spec.Pos()), to, who))
		}
	}
	return problems
}

// checkTestImports lets tests import anything of ours and any known library.
func checkTestImports(f file) (problems []string) {
	for _, spec := range f.syntax.Imports {
		to := importPath(spec)
		if library, _ := owner(to); thirdParty(to) && library == "" && !matchesAny(to, testOnly) {
			problems = append(problems, f.at(spec.Pos())+": imports "+to+", which is in no table of internal/arch_table_test.go")
		}
	}
	return problems
}

func checkPure(f file) (problems []string) {
	names := map[string]string{} // local name to import path
	for _, spec := range f.syntax.Imports {
		to := importPath(spec)
		if matchesAny(to, impureImports) && !slices.Contains(pureBelowImpure, to) && pureNames[to] == nil {
			problems = append(problems, f.at(spec.Pos())+": a pure package imports "+to)
		}
		local := strings.TrimSuffix(to, "/v2")
		local = path.Base(local)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		names[local] = to
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			problems = append(problems, f.at(n.Pos())+": a pure package starts a goroutine")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			from := names[x.Name]
			global := (from == "math/rand" || from == "math/rand/v2") && !slices.Contains(seeded, n.Sel.Name)
			allowed, narrow := pureNames[from]
			if global || slices.Contains(impureNames[from], n.Sel.Name) || narrow && !slices.Contains(allowed, n.Sel.Name) {
				problems = append(problems, f.at(n.Pos())+": a pure package uses "+from+"."+n.Sel.Name+"; take it as an argument")
			}
		}
		return true
	})
	return problems
}

func (f file) at(pos token.Pos) string {
	return f.name + ":" + strconv.Itoa(f.fset.Position(pos).Line)
}

func isPure(f file) bool {
	if slices.Contains(pureFiles, f.name) {
		return true
	}
	self, ok := strings.CutPrefix(f.dir, "internal/")
	return ok && matchesAny(self, pure) && !isDriver(self)
}

func isDriver(dir string) bool {
	return matchesAny(dir, drivers) && !slices.Contains(contracts, dir) && !isSuite(dir)
}

// isSuite reports a conformance suite: the last part ends in "test".
func isSuite(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return p
}

func thirdParty(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".") && !strings.HasPrefix(importPath+"/", module)
}

func owner(importPath string) (library string, who []string) {
	for prefix, dirs := range owners {
		if under(importPath, prefix) && len(prefix) > len(library) {
			library, who = prefix, dirs
		}
	}
	return library, who
}

func matchesAny(dir string, list []string) bool {
	return slices.ContainsFunc(list, func(d string) bool { return under(dir, d) })
}

// under reports whether dir is the folder or lies below it.
func under(dir, folder string) bool {
	return strings.HasPrefix(dir+"/", strings.TrimSuffix(folder, "/")+"/")
}

// TestRulesCanFail shows each rule its smallest breach, and the nearest thing
// that is allowed.
func TestRulesCanFail(t *testing.T) {
	const doc = "// Package p is for a test.\n"
	tests := []struct {
		name, file, source, want string // want: part of the one problem; "" if none
	}{
		{"allowed import", "internal/cause/x.go", `import _ "` + module + `internal/topology"`, ""},
		{"import not in the table", "internal/detect/x.go", `import _ "` + module + `internal/store"`, "detect may import [heal]"},
		{"heal imports ours", "internal/heal/x.go", `import _ "` + module + `internal/expr"`, "heal may import []"},
		{"unknown package", "internal/novel/x.go", `import _ "` + module + `internal/heal"`, "is not in the table"},
		{"contract beside its drivers", "internal/playbook/x.go", `import _ "` + module + `internal/action"`, ""},
		{"test library in a suite", "internal/action/actiontest/x.go", `import _ "github.com/google/go-cmp/cmp"`, ""},
		{"child imports its parent", "internal/action/process/x.go", `import _ "` + module + `internal/action"`, ""},
		{"parent imports a part of its own", "internal/playbook/x.go", `import _ "` + module + `internal/playbook/shipped"`, ""},
		{"parent imports its driver", "internal/action/x.go", `import _ "` + module + `internal/action/process"`, "drivers are imported by"},
		{"driver outside the wiring", "internal/engine/x.go", `import _ "` + module + `internal/store/sqlite"`, "drivers are imported by"},
		{"driver in the wiring", "internal/app/x.go", `import _ "` + module + `internal/store/sqlite"`, ""},
		{"driver in a test", "internal/engine/x_test.go", `import _ "` + module + `internal/store/sqlite"`, ""},
		{"suite outside a test", "internal/app/x.go", `import _ "` + module + `internal/store/storetest"`, "tests only"},
		{"example imports ours", "examples/shop/x.go", `import _ "` + module + `internal/heal"`, "know nothing of Homeostat"},
		{"example in a command", "examples/shop/cmd/shop/x.go", `import _ "` + module + `examples/shop"`, ""},
		{"internal imports an example", "internal/loop/x.go", `import _ "` + module + `examples/shop"`, "only the wiring"},
		{"library at its owner", "internal/expr/x.go", `import _ "github.com/google/cel-go/cel"`, ""},
		{"library elsewhere", "internal/alert/x.go", `import _ "github.com/google/cel-go/cel"`, "belongs to [internal/expr]"},
		{"longest prefix counts", "internal/obs/x.go", `import _ "go.opentelemetry.io/collector/pdata/plog"`, "belongs to [internal/otlp"},
		{"library without an owner", "internal/heal/x.go", `import _ "example.com/new"`, "has no owner"},
		{"library without an owner in a test", "internal/heal/x_test.go", `import _ "example.com/new"`, "in no table"},
		{"test library in the product", "internal/heal/x.go", `import _ "github.com/google/go-cmp/cmp"`, "tests only"},
		{"I/O in a pure package", "internal/verify/x.go", `import _ "os"`, "pure package imports os"},
		{"I/O below a pure package", "internal/verify/deep/x.go", `import _ "net/http"`, "pure package imports net/http"},
		{"logging in a pure package", "internal/verify/x.go", `import _ "log/slog"`, "pure package imports log/slog"},
		{"dialling in a pure package", "internal/verify/x.go", "import \"net\"\nvar _ = net.Dial", "uses net.Dial"},
		{"taking an address apart is pure", "internal/verify/x.go", "import \"net\"\nvar _ = net.SplitHostPort", ""},
		{"parsing an address is pure", "internal/verify/x.go", `import _ "net/url"`, ""},
		{"I/O in a driver below a contract", "internal/action/process/x.go", `import _ "os"`, ""},
		{"clock in a pure package", "internal/verify/x.go", "import \"time\"\nvar _ = time.Now", "uses time.Now"},
		{"renamed clock", "internal/verify/x.go", "import clock \"time\"\nvar _ = clock.Since", "uses time.Since"},
		{"time as an argument", "internal/verify/x.go", "import \"time\"\nfunc f(now time.Time) {}", ""},
		{"global randomness", "internal/decide/x.go", "import \"math/rand/v2\"\nvar _ = rand.Int()", "uses math/rand/v2.Int"},
		{"seeded randomness", "internal/decide/x.go", "import \"math/rand/v2\"\nvar _ = rand.New(rand.NewPCG(1, 2))", ""},
		{"goroutine in a pure package", "internal/cause/x.go", "func f() { go f() }", "starts a goroutine"},
		{"goroutine in a pure file", "internal/engine/step.go", "func f() { go f() }", "starts a goroutine"},
		{"goroutine elsewhere", "internal/engine/shell.go", "func f() { go f() }", ""},
		{"func init", "internal/store/x.go", "func init() {}", "func init"},
		{"method called init", "internal/store/x.go", "type t int\nfunc (t) init() {}", ""},
		{"long file", "internal/store/x.go", strings.Repeat("//\n", maxLines), "502 lines"},
		{"vague name", "internal/store/util/x.go", "", "says nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files, got := load(fstest.MapFS{tt.file: {Data: []byte(doc + "package p\n" + tt.source)}})
			got = append(got, check(files)...)
			if tt.want == "" && len(got) > 0 {
				t.Errorf("got %q, want no problem", got)
			}
			if tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("got %q, want one problem that says %q", got, tt.want)
			}
		})
	}
}

func TestPackagesNeedComments(t *testing.T) {
	files, _ := load(fstest.MapFS{"internal/heal/x.go": {Data: []byte("package heal\n")}})
	got := check(files)
	if len(got) != 1 || !strings.Contains(got[0], "no file has a package comment") {
		t.Errorf("got %q, want one problem about the package comment", got)
	}
}
