package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat/homeostat/internal/audit"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/lease"
	"github.com/homeostat/homeostat/internal/loop"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/postgres"
	"github.com/homeostat/homeostat/internal/store/sqlite"
)

// record is a store with what its upkeep needs; every engine is one.
type record interface {
	store.Store
	Compact(ctx context.Context, keep int64) error
	Backup(ctx context.Context, path string) error
	Check(ctx context.Context) error
	Stats() store.Stats
}

// StoreFile is where the embedded store lies.
func (c *Config) StoreFile() string { return filepath.Join(c.DataDir, "homeostat.db") }

// ServerIDFile keeps who this server is over restarts.
func (c *Config) ServerIDFile() string { return filepath.Join(c.DataDir, "server.id") }

// dsn gives the database of the configuration; empty: the embedded store.
func (c *StoreConfig) dsn() (postgres.DSN, error) {
	if c.DSNFile == "" {
		return postgres.DSN(c.DSN), nil
	}
	text, err := readSecret(c.DSNFile)
	return postgres.DSN(text), heal.Wrap("store.dsn_file", err)
}

// openRecord opens the store of a configuration and brings its schema up to
// date.
func openRecord(ctx context.Context, c *Config) (record, error) {
	dsn, err := c.Store.dsn()
	if err != nil {
		return nil, err
	}
	if dsn == "" {
		return sqlite.Open(ctx, sqlite.Options{Path: c.StoreFile()})
	}
	db, err := postgres.Open(ctx, postgres.Options{DSN: dsn, BackupDir: c.DataDir})
	if err != nil {
		return nil, heal.Wrap("store.dsn", err)
	}
	return db, nil
}

func (s *Server) openStore(ctx context.Context) (err error) {
	if err := s.identify(); err != nil {
		return err
	}
	if s.store, err = openRecord(ctx, &s.cfg); err != nil {
		return err
	}
	s.onClose(s.store.Close)
	process := heal.NewID(time.Now(), rand.Reader)
	if s.clock, err = store.NewClock(ctx, s.store, store.ClockOptions{Server: process, Marks: store.MarksIn(s.store), Logger: s.log}); err != nil {
		return err
	}
	s.add("clock", s.clock.Run)
	if err := s.openShare(ctx, process); err != nil {
		return err
	}
	s.audit = audit.NewRecorder(s.clock.Now, rand.Reader)
	s.audited = s.audit.Wrap(s.store)
	s.accounts = auth.New(s.audited, auth.Options{Now: s.clock.Now})
	created, err := auth.FirstStart(ctx, s.accounts, s.cfg.TokenFile())
	if created {
		s.log.Info("first start: wrote the operator token", slog.String("file", s.cfg.TokenFile()))
	}
	return err
}

// identify reads who this server is, or decides it at the first start, and
// keeps a second process from being the same one.
func (s *Server) identify() error {
	path := s.cfg.ServerIDFile()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return heal.Errorf(heal.Invalid, "data_dir", "%w", err)
	}
	s.onClose(f.Close)
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return heal.Errorf(heal.Conflict, "data_dir", "%s is in use by another process: %w", s.cfg.DataDir, err)
	}
	data, err := fs.ReadFile(os.DirFS(s.cfg.DataDir), filepath.Base(path))
	if err != nil {
		return heal.Errorf(heal.Invalid, "data_dir", "%w", err)
	}
	if s.id = strings.TrimSpace(string(data)); s.id != "" {
		return nil
	}
	s.id = heal.NewID(time.Now(), rand.Reader)
	if _, err = f.WriteString(s.id + "\n"); err == nil {
		err = f.Sync()
	}
	return heal.Wrap("write "+path, err)
}

// How long a server that uses a database alone, or shares it, is taken to be
// there without a sign of life, and how often it gives one.
const (
	presence  = 10 * time.Second
	signEvery = 2 * time.Second
)

// openShare takes the store: alone, or among the servers that share it. The
// embedded store is locked as a file already.
func (s *Server) openShare(ctx context.Context, process string) error {
	if s.cfg.Store.Shared {
		s.share = lease.NewShare(s.store, lease.ShareOptions{
			Member: process, Duties: s.duties(), TTL: presence, Every: signEvery, Clock: s.clock.Now, Logger: s.log,
		})
		if err := s.share.Join(ctx); err != nil {
			return heal.Wrap("store.shared", err)
		}
		s.add("share", s.share.Run)
		return nil
	}
	if _, embedded := s.store.(*sqlite.DB); embedded {
		return nil
	}
	if err := s.takeAlone(ctx); err != nil {
		if heal.Is(err, heal.Conflict) {
			err = fmt.Errorf("%w; several servers on one database need store.shared: true on each", err)
		}
		return heal.Wrap("store.shared", err)
	}
	s.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), signEvery)
		defer cancel()
		return s.store.Update(ctx, func(tx store.Tx) error { return lease.LeaveAlone(tx, s.id) })
	})
	s.add("presence", s.stayAlone)
	return nil
}

func (s *Server) takeAlone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, presence/2)
	defer cancel()
	return s.store.Update(ctx, func(tx store.Tx) error { return lease.Alone(tx, s.id, presence, s.clock.Now()) })
}

// stayAlone gives signs of life. If another server took the database meanwhile,
// this one must not go on.
func (s *Server) stayAlone(ctx context.Context) error {
	ticker := time.NewTicker(signEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := s.takeAlone(ctx)
		switch {
		case heal.Is(err, heal.Conflict):
			return err
		case err != nil && ctx.Err() == nil:
			s.log.Warn("tell other servers that the database is in use, will try again", slog.Any("error", err))
		}
	}
}

// What servers that share a store divide, besides the duties of the loop.
const (
	dutyAudit = "audit"
	dutyHouse = "housekeeping"
	dutyWatch = "watch"
)

func dutyOfMonitor(name string) string { return "monitor/" + name }

func dutyOfRules(file string) string { return "rules/" + file }

// duties are all that is divided. Servers with other monitors or rules divide
// those that they have.
func (s *Server) duties() []string {
	all := append(loop.Duties(), dutyAudit, dutyHouse, dutyWatch)
	for _, m := range s.cfg.Monitors {
		all = append(all, dutyOfMonitor(m.Name))
	}
	files, err := s.ruleFiles()
	if err != nil {
		return all // openSensors says what is wrong with them
	}
	for _, f := range files {
		all = append(all, dutyOfRules(f.Name))
	}
	return all
}
