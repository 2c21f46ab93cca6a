package app

import (
	"errors"
	"maps"
	"os"
	"strings"

	"github.com/homeostat/homeostat/internal/action"
	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/playbook"
	"github.com/homeostat/homeostat/internal/series"
)

// CheckFiles finds the mistakes of the files a configuration names: rules,
// mappings, playbooks, secrets. It changes nothing.
func CheckFiles(c *Config) []config.Problem {
	var found []config.Problem
	add := func(file, key, text string) { found = append(found, config.Problem{File: file, Key: key, Text: text}) }
	for _, path := range c.Rules.Files {
		data, err := os.ReadFile(path)
		if err != nil {
			add(path, "rules.files", err.Error())
			continue
		}
		for _, err := range series.CheckRules(path, data) {
			add(path, "rules.files", err.Error())
		}
	}
	for _, m := range c.Intake.Mappings {
		data, err := os.ReadFile(m.File)
		if err == nil {
			_, err = alert.ParseMapping(m.File, data, alert.Options{Source: m.Name})
		}
		if err != nil {
			add(m.File, "intake.mappings", err.Error())
		}
	}
	for key, path := range map[string]string{"intake.secret_file": c.Intake.SecretFile, "notify.secret_file": c.Notify.SecretFile} {
		if path == "" {
			continue
		}
		if _, err := readSecret(path); err != nil {
			add(path, key, err.Error())
		}
	}
	specs, err := specsOf(c)
	if err != nil {
		add("homeostat.yaml", "drivers", err.Error())
		return found
	}
	if _, err := loadPlaybooks(c, specs); err != nil {
		if all, ok := errors.AsType[playbook.Problems](err); ok {
			for _, p := range all {
				if p.Hint != "" { // advice, not always what was expected
					p.Text += " (" + p.Hint + ")"
				}
				found = append(found, config.Problem{File: p.File, Line: p.Line, Key: p.Key, Text: p.Text})
			}
			return found
		}
		add(c.Playbooks.Dir, "playbooks.dir", strings.TrimSpace(err.Error()))
	}
	return found
}

// CheckPlaybooks finds the mistakes of playbooks that belong together, against
// the actions a configuration allows.
func CheckPlaybooks(c *Config, files []playbook.File) playbook.Problems {
	specs, err := specsOf(c)
	if err != nil {
		return playbook.Problems{{Text: err.Error()}}
	}
	_, problems := playbook.Load(files, specs)
	return problems
}

// specsOf lists the actions there are, from previewers: nothing is opened that
// could act.
func specsOf(c *Config) (map[string]action.Spec, error) {
	previews, err := newPreviews(c)
	if err != nil {
		return nil, err
	}
	return maps.Clone(previews.Specs()), nil
}
