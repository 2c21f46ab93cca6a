package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// TestPackageComments wants of every package one comment that says what it is
// for and names its one invariant.
func TestPackageComments(t *testing.T) {
	for _, problem := range commentProblems(t, os.DirFS("..")) {
		t.Error(problem)
	}
}

func TestPackageCommentsAreMissed(t *testing.T) {
	for _, tc := range []struct {
		name, source, want string
	}{
		{"none", "package a\n", "internal/a has no package comment"},
		{"of something else", "// Code for a.\npackage a\n", `internal/a: the package comment begins with "Code for a.", expected Package a`},
		{"without an invariant", "// Package a is a.\npackage a\n", "internal/a: the package comment names no invariant"},
		{"whole", "// Package a is a.\n//\n// Its one invariant: it is.\npackage a\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := strings.Join(commentProblems(t, fstest.MapFS{"internal/a/a.go": {Data: []byte(tc.source)}}), "\n")
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func commentProblems(t *testing.T, root fs.FS) []string {
	t.Helper()
	comments, names := map[string]string{}, map[string]string{}
	var dirs []string
	for _, top := range []string{"cmd", "examples", "internal"} {
		err := fs.WalkDir(root, top, func(name string, d fs.DirEntry, err error) error {
			if err != nil && name == top {
				return fs.SkipDir
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			data, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, data, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				return err
			}
			dir := path.Dir(name)
			if _, seen := names[dir]; !seen {
				dirs = append(dirs, dir)
			}
			names[dir] = f.Name.Name
			comments[dir] += text(f.Doc)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var problems []string
	for _, dir := range dirs {
		comment, begins := comments[dir], "Package "+names[dir]
		if names[dir] == "main" {
			begins = "Command " + path.Base(dir)
		}
		line, _, _ := strings.Cut(comment, "\n")
		switch {
		case comment == "":
			problems = append(problems, dir+" has no package comment")
		case !strings.HasPrefix(line, begins):
			problems = append(problems, dir+": the package comment begins with \""+line+"\", expected "+begins)
		case !strings.Contains(strings.ReplaceAll(comment, "\n", " "), "one invariant"):
			problems = append(problems, dir+": the package comment names no invariant")
		}
	}
	return problems
}

func text(doc *ast.CommentGroup) string {
	if doc == nil {
		return ""
	}
	return doc.Text()
}
