package app

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/playbook"
)

// maxPlaybooks bounds a folder of playbooks.
const maxPlaybooks = 1000

// loadPlaybooks reads the shipped playbooks and those of the configured
// folder; the error joins every mistake of every file.
func loadPlaybooks(c *Config, specs map[string]action.Spec) ([]*playbook.Compiled, error) {
	var books []*playbook.Compiled
	var problems playbook.Problems
	byID := map[string]string{}
	load := func(file string, data []byte) {
		p, found := playbook.Parse(file, data)
		if len(found) == 0 {
			found = playbook.Check(p, specs)
		}
		if problems = append(problems, found...); len(found) > 0 {
			return
		}
		if other, taken := byID[p.ID]; taken {
			problems = append(problems, playbook.Problem{File: file, Key: "playbook_id", Text: fmt.Sprintf("%q is the id of %s too", p.ID, other)})
			return
		}
		byID[p.ID] = file
		if trust, ok := c.Playbooks.Trust[p.ID]; ok {
			p.Trust = heal.Trust(trust)
		}
		compiled, err := playbook.Compile(p, specs)
		if err != nil {
			problems = append(problems, playbook.Problem{File: file, Text: err.Error()})
			return
		}
		books = append(books, compiled)
	}
	if c.Playbooks.Shipped {
		if err := eachYAML(playbook.Shipped(), "shipped", load); err != nil {
			return nil, err
		}
	}
	if c.Playbooks.Dir != "" {
		if err := eachYAML(os.DirFS(c.Playbooks.Dir), c.Playbooks.Dir, load); err != nil {
			return nil, heal.Errorf(heal.Invalid, "playbooks.dir", "%w", err)
		}
	}
	for id := range c.Playbooks.Trust {
		if byID[id] == "" {
			problems = append(problems, playbook.Problem{File: "homeostat.yaml", Key: "playbooks.trust." + id, Text: "there is no such playbook"})
		}
	}
	return books, problems.Err()
}

// eachYAML hands over every YAML file of a folder, in the order of names.
func eachYAML(dir fs.FS, prefix string, load func(file string, data []byte)) error {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		ext := filepath.Ext(e.Name())
		return e.IsDir() || ext != ".yaml" && ext != ".yml" || strings.HasPrefix(e.Name(), ".")
	})
	if len(entries) > maxPlaybooks {
		return fmt.Errorf("%s holds %d playbooks, at most %d are taken", prefix, len(entries), maxPlaybooks)
	}
	for _, e := range entries {
		data, err := fs.ReadFile(dir, e.Name())
		if err != nil {
			return err
		}
		load(filepath.Join(prefix, e.Name()), data)
	}
	return nil
}

// shelf is the playbooks as the API sees them.
type shelf struct {
	catalog *loop.Catalog
	specs   map[string]action.Spec
	scope   heal.Scope
	dry     *engine.DryRunner
}

// List gives the playbooks in force.
func (s *shelf) List() []*playbook.Compiled { return s.catalog.All() }

// Check gives the mistakes of a playbook that is not in force yet.
func (s *shelf) Check(file string, data []byte) playbook.Problems {
	p, problems := playbook.Parse(file, data)
	if len(problems) > 0 {
		return problems
	}
	return playbook.Check(p, s.specs)
}

// Order makes the order for a run that a person asks for.
func (s *shelf) Order(_ context.Context, id string, target heal.EntityID, params map[string]string, by string) (engine.Order, error) {
	book, err := s.catalog.Find(id)
	if err != nil {
		return engine.Order{}, err
	}
	if err := target.Validate(); err != nil {
		return engine.Order{}, err
	}
	if _, err := book.ParamValues(params); err != nil {
		return engine.Order{}, err
	}
	scope := s.scope
	if target.Kind() == heal.KindService {
		scope = scope.WithService(target.Name())
	}
	return engine.Order{
		Scope: scope, Name: book.ID, Digest: book.Digest, Source: book.Source, Target: target, Params: params, RequestedBy: by,
	}, nil
}

// DryRun shows what an order would do.
func (s *shelf) DryRun(ctx context.Context, o engine.Order) (heal.Run, error) {
	return s.dry.DryRun(ctx, o)
}
