package app

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/engine"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/library"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/playbook"
)

// maxPlaybooks bounds a folder of playbooks.
const maxPlaybooks = 1000

// loadPlaybooks reads the shipped playbooks and those of the configured
// folder; the error joins every mistake of every file.
func loadPlaybooks(c *Config, specs map[string]action.Spec) ([]*playbook.Compiled, error) {
	files, err := playbookFiles(c)
	if err != nil {
		return nil, err
	}
	books, problems := playbook.Load(files, specs)
	return books, append(problems, trust(c, books)...).Err()
}

// playbookFiles reads the shipped playbooks and those of the configured folder.
func playbookFiles(c *Config) ([]playbook.File, error) {
	var files []playbook.File
	load := func(file string, data []byte) { files = append(files, playbook.File{Name: file, Data: data}) }
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
	return files, nil
}

// trust puts the configured trust in the place of what playbooks say.
func trust(c *Config, books []*playbook.Compiled) playbook.Problems {
	known := map[string]bool{}
	for _, b := range books {
		known[b.ID] = true
		if word, ok := c.Playbooks.Trust[b.ID]; ok {
			b.Trust = heal.Trust(word)
		}
	}
	var problems playbook.Problems
	for _, id := range slices.Sorted(maps.Keys(c.Playbooks.Trust)) {
		if !known[id] {
			problems = append(problems, playbook.Problem{File: "homeostat.yaml", Key: "playbooks.trust." + id, Text: "there is no such playbook"})
		}
	}
	return problems
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
	*library.Library
	catalog *loop.Catalog
	specs   map[string]action.Spec
	scope   heal.Scope
	dry     *engine.DryRunner
}

// openShelf puts the playbooks in force. The files have no mistakes: a start with
// one is refused. What was changed since through the API stays.
func (s *Server) openShelf(ctx context.Context, dry *engine.DryRunner) error {
	specs := s.drivers.set.Specs()
	if _, err := loadPlaybooks(&s.cfg, specs); err != nil {
		return err
	}
	s.shelf = &shelf{catalog: loop.NewCatalog(nil), specs: specs, scope: s.cfg.HomeScope(), dry: dry}
	s.shelf.Library = library.New(library.Options{
		Store: s.audited, Specs: specs, Every: s.cfg.Playbooks.Reload.Std(), Clock: s.clock.Now, Logger: s.log,
		Files:  func() ([]playbook.File, error) { return playbookFiles(&s.cfg) },
		Adjust: func(books []*playbook.Compiled) { _ = trust(&s.cfg, books) },
		Use:    s.shelf.catalog.Replace,
	})
	s.add("playbooks", s.shelf.Run)
	return s.shelf.Sync(ctx)
}

// List gives the playbooks in force.
func (s *shelf) List() []*playbook.Compiled { return s.catalog.All() }

// Check gives the mistakes of a playbook that is not in force yet.
func (s *shelf) Check(file string, data []byte) playbook.Problems {
	_, problems := playbook.Examine(file, data, s.specs, s.catalog.All()...)
	return problems
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
		Scope: scope, Name: book.ID, Digest: book.Pin.Digest, Source: book.Pin.Source, Target: target, Params: params, RequestedBy: by,
	}, nil
}

// DryRun shows what an order would do.
func (s *shelf) DryRun(ctx context.Context, o engine.Order) (heal.Run, error) {
	return s.dry.DryRun(ctx, o)
}
