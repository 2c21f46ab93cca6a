package library

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/store"
)

// Options are what a Library works with.
type Options struct {
	Store  store.Store
	Specs  map[string]action.Spec
	Files  func() ([]playbook.File, error) // what is shipped and what is in the folder, read anew
	Adjust func([]*playbook.Compiled)      // changes books before they are in force, as for a configured trust; may be nil
	Use    func([]*playbook.Compiled)      // puts books in force
	Every  time.Duration                   // between looks at the files and the store; default 5 s
	Clock  func() time.Time
	Logger *slog.Logger
}

// Library keeps playbooks in force that are those of the files, or, where a
// person changed one since, those of that change. It may be used by several
// goroutines at once.
type Library struct {
	opts   Options
	failed string // why the last look failed; of Run alone

	mu       sync.Mutex
	print    string            // of the files, as last taken
	wrong    playbook.Problems // in them
	read     map[string]string // file -> digest, as this server last took it
	inForce  map[string]*playbook.Compiled
	digests  map[string]string // of what is in force
	problems playbook.Problems
}

// New makes a library; Sync fills it.
func New(o Options) *Library {
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	return &Library{opts: o, read: map[string]string{}, inForce: map[string]*playbook.Compiled{}, digests: map[string]string{}}
}

// Run keeps the library as the files and the store have it until ctx ends.
func (l *Library) Run(ctx context.Context) error {
	tick := time.NewTicker(l.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := l.Sync(ctx); err != nil && ctx.Err() == nil {
			failed := err.Error()
			if failed != l.failed { // each reason once, not at every look
				l.opts.Logger.Error("look for changed playbooks", slog.Any("error", err))
			}
			l.failed = failed
			continue
		}
		l.failed = ""
	}
}

// Sync takes what changed in the files and in the store. Mistakes are kept for
// Problems and are no error: what they are in stays as it was.
func (l *Library) Sync(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	files, err := l.opts.Files()
	if err != nil {
		return err // a folder that cannot be read is not one without files
	}
	if now := fingerprint(files); now != l.print {
		books, wrong := playbook.Load(files, l.opts.Specs)
		if err := l.take(ctx, files, books); err != nil {
			return err
		}
		l.print, l.wrong = now, wrong
	}
	problems := slices.Clone(l.wrong)
	current, err := l.heads(ctx)
	if err != nil {
		return err
	}
	problems = append(problems, l.compile(current)...)
	if problems.Error() != l.problems.Error() {
		l.problems = problems
		for _, p := range problems {
			l.opts.Logger.Warn("playbook has a mistake, what was in force stays", slog.String("file", p.File), slog.Int("line", p.Line), slog.String("key", p.Key), slog.String("problem", p.Text))
		}
	}
	return nil
}

// fingerprint tells one state of the files from another.
func fingerprint(files []playbook.File) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q %d\n", f.Name, len(f.Data))
		h.Write(f.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// take publishes the files that changed since this server last took them, and
// withdraws those that are gone. At the first look the store says what was
// taken before.
func (l *Library) take(ctx context.Context, files []playbook.File, books []*playbook.Compiled) error {
	there := map[string]bool{}
	for _, f := range files {
		there[f.Name] = true
	}
	known, err := l.heads(ctx)
	if err != nil {
		return err
	}
	byID := map[string]head{}
	for _, h := range known {
		byID[h.Playbook] = h
	}
	for _, b := range books {
		was, seen := l.read[b.File]
		if !seen {
			was = byID[b.ID].FileDigest
		}
		if was != b.Digest {
			if err := l.put(ctx, fromFile(b, l.opts.Clock(), byID[b.ID])); err != nil {
				return err
			}
		}
		l.read[b.File] = b.Digest
	}
	for id, h := range byID {
		if h.FileDigest == "" || h.Withdrawn || there[h.File] || slices.ContainsFunc(books, func(b *playbook.Compiled) bool { return b.ID == id }) {
			continue
		}
		gone := head{Version: Version{
			Playbook: id, At: l.opts.Clock(), Author: fileAuthor, Reason: "the file is gone", File: h.File, Withdrawn: true,
		}}
		if err := l.put(ctx, gone); err != nil {
			return err
		}
		delete(l.read, h.File)
	}
	return nil
}

// fileAuthor is who changed a file that does not say.
const fileAuthor = "file"

func fromFile(b *playbook.Compiled, now time.Time, was head) head {
	reason := b.Change.Reason
	switch {
	case reason != "":
	case was.Number == 0:
		reason = "first seen"
	default:
		reason = "the file changed"
	}
	author := b.Change.Author
	if author == "" {
		author = fileAuthor
	}
	return head{
		Version:    Version{Playbook: b.ID, At: now, Author: author, Reason: reason, File: b.File, Digest: b.Digest, Source: b.Source},
		FileDigest: b.Digest,
	}
}

func (l *Library) put(ctx context.Context, h head) error {
	return l.opts.Store.Update(ctx, func(tx store.Tx) error {
		_, err := publish(tx, h)
		return err
	})
}

func (l *Library) heads(ctx context.Context) ([]head, error) {
	var out []head
	err := l.opts.Store.View(ctx, func(r store.Reader) error {
		rows, err := headKind.All(r, store.Query{Where: []store.Cond{{Column: "name", Op: store.Eq, Value: heads}}})
		out = make([]head, 0, len(rows))
		for _, row := range rows {
			out = append(out, row.Value)
		}
		return err
	})
	slices.SortFunc(out, func(a, b head) int { return strings.Compare(a.Playbook, b.Playbook) })
	return out, err
}

// compile puts the newest versions in force. One that does not fit what there
// is now, for an action is not allowed any more, leaves the one before in
// force as long as this server runs.
func (l *Library) compile(current []head) playbook.Problems {
	var files []playbook.File
	digests := map[string]string{}
	for _, h := range current {
		if !h.Withdrawn {
			files = append(files, playbook.File{Name: nameOf(h.Version), Data: h.Source})
			digests[h.Playbook] = h.Digest
		}
	}
	if len(digests) == len(l.digests) && !slices.ContainsFunc(current, func(h head) bool { return !h.Withdrawn && l.digests[h.Playbook] != h.Digest }) {
		return nil
	}
	books, problems := playbook.Load(files, l.opts.Specs)
	now := map[string]*playbook.Compiled{}
	for _, b := range books {
		now[b.ID] = b
	}
	for id := range digests {
		if now[id] == nil && l.inForce[id] != nil {
			now[id] = l.inForce[id]
		}
	}
	list := make([]*playbook.Compiled, 0, len(now))
	for _, h := range current {
		if b := now[h.Playbook]; b != nil {
			list = append(list, b)
		}
	}
	if l.opts.Adjust != nil {
		l.opts.Adjust(list)
	}
	l.opts.Use(list)
	l.inForce = now
	if len(problems) == 0 {
		l.digests = digests
	}
	return problems
}

func nameOf(v Version) string {
	if v.File != "" {
		return v.File
	}
	return v.Playbook + ".yaml"
}

// Problems is what is wrong with files and versions that are not in force.
func (l *Library) Problems() playbook.Problems {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.problems)
}

// Publish makes a source the newest version of its playbook, in force at once.
// The error, of kind Invalid, holds every mistake.
func (l *Library) Publish(ctx context.Context, source []byte, author, reason string) (Version, error) {
	b, problems := playbook.Examine("", source, l.opts.Specs, l.beside()...)
	if err := problems.Err(); err != nil {
		return Version{}, err
	}
	return l.publish(ctx, Version{Playbook: b.ID, Author: author, Reason: reason, Source: source})
}

// Rollback makes a version before the newest one once more.
func (l *Library) Rollback(ctx context.Context, id string, to int, author, reason string) (Version, error) {
	var was Version
	err := l.opts.Store.View(ctx, func(r store.Reader) (err error) {
		was, err = VersionOf(r, id, to)
		return err
	})
	if err != nil {
		return Version{}, err
	}
	if was.Withdrawn {
		return Version{}, heal.Errorf(heal.Conflict, "roll back playbook "+id, "version %d has no source, the playbook was withdrawn", to)
	}
	if _, problems := playbook.Examine(nameOf(was), was.Source, l.opts.Specs, l.beside()...); len(problems) > 0 {
		return Version{}, problems.Err()
	}
	return l.publish(ctx, Version{Playbook: id, Author: author, Reason: reason, Source: was.Source})
}

// beside is what is in force, for a source to call or to be called by.
func (l *Library) beside() []*playbook.Compiled {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.inForce))
}

func (l *Library) publish(ctx context.Context, v Version) (Version, error) {
	sum := sha256.Sum256(v.Source)
	v.Digest, v.At = hex.EncodeToString(sum[:]), l.opts.Clock()
	err := l.opts.Store.Update(ctx, func(tx store.Tx) error {
		was, err := headKind.Get(tx, headKind.Key(&head{Version: v}))
		if err != nil && !heal.Is(err, heal.NotFound) {
			return err
		}
		if was.Value.Digest == v.Digest {
			return heal.Errorf(heal.Conflict, "playbook "+v.Playbook, "reads so already, as version %d", was.Value.Number)
		}
		v.File = was.Value.File
		v, err = publish(tx, head{Version: v, FileDigest: was.Value.FileDigest})
		return err
	})
	if err != nil {
		return Version{}, err
	}
	return v, l.Sync(ctx)
}
