package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/action/exec"
	"github.com/homeostat/homeostat/internal/action/failover"
	"github.com/homeostat/homeostat/internal/action/http"
	notifyaction "github.com/homeostat/homeostat/internal/action/notify"
	"github.com/homeostat/homeostat/internal/action/process"
	"github.com/homeostat/homeostat/internal/action/promql"
	"github.com/homeostat/homeostat/internal/action/setting"
	"github.com/homeostat/homeostat/internal/action/wait"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/notify"
)

// drivers are what can act, and, apart from them, what can say how it would.
type drivers struct {
	set      *action.Set
	previews *action.PreviewSet
	process  *process.Driver
}

// ProcessOptions are the options of the process driver under a configuration.
// Others who start the same processes, as the demo does, use the same.
func ProcessOptions(c *Config, log *slog.Logger) process.Options {
	dir := filepath.Join(c.DataDir, "processes")
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs // else the driver says what is wrong with it
	}
	opts := process.Options{StateDir: dir, Log: log}
	for _, p := range c.Drivers.Processes {
		opts.Processes = append(opts.Processes, process.Process{
			Name: p.Name, Entity: heal.EntityID(p.Entity), Command: p.Command, Dir: p.Dir, Env: p.Env, Instances: p.Instances, MaxInstances: p.MaxInstances,
			ReadyURL: p.ReadyURL, ReadyTCP: p.ReadyTCP, Grace: p.Grace.Std(), LogFile: p.LogFile,
		})
	}
	return opts
}

// newDrivers makes every driver and, from the same configuration but without
// the means to act, every previewer.
func newDrivers(c *Config, source promql.Source, channel notify.Channel, log *slog.Logger) (*drivers, error) {
	p, err := process.New(ProcessOptions(c, log))
	if err != nil {
		return nil, heal.Wrap("drivers.processes", err)
	}
	d := &drivers{process: p}
	h, err := http.New(httpOptions(c))
	if err != nil {
		return d, heal.Wrap("drivers.http", err)
	}
	x, err := exec.New(execOptions(c))
	if err != nil {
		return d, heal.Wrap("drivers.exec", err)
	}
	set, err := setting.New(settingOptions(c))
	if err != nil {
		return d, heal.Wrap("drivers.settings", err)
	}
	f, err := failover.New(failoverOptions(c))
	if err != nil {
		return d, heal.Wrap("drivers.failovers", err)
	}
	d.set, err = action.NewSet(p, h, x, set, f, promql.New(source, promql.Options{}), wait.New(), notifyaction.New(channel))
	if err != nil {
		return d, err
	}
	d.previews, err = newPreviews(c)
	return d, err
}

// newPreviews makes what can say how actions would go, and cannot act.
func newPreviews(c *Config) (*action.PreviewSet, error) {
	p, err := process.NewPreviewer(ProcessOptions(c, nil))
	if err != nil {
		return nil, heal.Wrap("drivers.processes", err)
	}
	h, err := http.NewPreviewer(httpOptions(c))
	if err != nil {
		return nil, heal.Wrap("drivers.http", err)
	}
	x, err := exec.NewPreviewer(execOptions(c))
	if err != nil {
		return nil, heal.Wrap("drivers.exec", err)
	}
	set, err := setting.NewPreviewer(settingOptions(c))
	if err != nil {
		return nil, heal.Wrap("drivers.settings", err)
	}
	f, err := failover.NewPreviewer(failoverOptions(c))
	if err != nil {
		return nil, heal.Wrap("drivers.failovers", err)
	}
	return action.NewPreviewSet(p, h, x, set, f, promql.New(nil, promql.Options{}), wait.New(), notifyaction.NewPreviewer())
}

func httpOptions(c *Config) http.Options {
	return http.Options{Allow: c.Drivers.HTTP.Allow, Secret: secretsIn(filepath.Join(c.DataDir, "secrets"))}
}

func execOptions(c *Config) exec.Options {
	var opts exec.Options
	for _, a := range c.Drivers.Exec.Allow {
		opts.Allow = append(opts.Allow, exec.Executable{Path: a.Path, ReadOnly: a.ReadOnly, Env: a.Env})
	}
	return opts
}

func settingOptions(c *Config) setting.Options {
	var opts setting.Options
	for _, s := range c.Drivers.Settings {
		opts.Settings = append(opts.Settings, setting.Setting{Entity: heal.EntityID(s.Entity), URL: s.URL})
	}
	return opts
}

func failoverOptions(c *Config) failover.Options {
	var opts failover.Options
	for _, f := range c.Drivers.Failovers {
		opts.Pairs = append(opts.Pairs, failover.Pair{
			Entity: heal.EntityID(f.Entity), BackupEntity: heal.EntityID(f.Backup), Switch: f.SwitchURL, Primary: f.PrimaryHealth, Backup: f.BackupHealth,
		})
	}
	return opts
}

// maxSecretBytes bounds a secret's file.
const maxSecretBytes = 4096

// secretsIn resolves secrets by name to the files of a folder.
func secretsIn(dir string) func(context.Context, string) (string, error) {
	return func(_ context.Context, name string) (string, error) {
		if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
			return "", heal.Errorf(heal.Invalid, "read secret", "%q is not a name of a file", name)
		}
		return readSecret(filepath.Join(dir, name))
	}
}

// readSecret reads a secret from a file; its content is never part of an error.
func readSecret(path string) (string, error) {
	data, err := os.ReadFile(path)
	switch {
	case err != nil:
		return "", heal.Errorf(heal.Invalid, "read secret", "%w", err)
	case len(data) > maxSecretBytes:
		return "", heal.Errorf(heal.Invalid, "read secret", "%s is larger than %d bytes", path, maxSecretBytes)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", heal.Errorf(heal.Invalid, "read secret", "%s is empty", path)
	}
	return secret, nil
}
