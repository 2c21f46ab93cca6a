package series

import (
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/homeostat/homeostat/internal/heal"
)

//go:embed rules/default.yaml
var defaultRules []byte

// DefaultRules is the rule file Homeostat ships.
func DefaultRules() RuleFile {
	return RuleFile{Name: "default.yaml", Data: slices.Clone(defaultRules)}
}

// RuleFile is a Prometheus rule file.
type RuleFile struct {
	Name string // for errors and as part of a group's identity
	Data []byte
}

// maxRuleFile is the size of the largest rule file taken, in bytes.
const maxRuleFile = 4 << 20

// CheckRules gives every mistake of a Prometheus rule file, each with file and
// line, nil if there is none.
func CheckRules(name string, data []byte) []error {
	_, errs := parseRules(RuleFile{name, data}, parser.NewParser(parser.Options{}))
	return errs
}

func parseRules(file RuleFile, p parser.Parser) (*rulefmt.RuleGroups, []error) {
	const op = "check rules"
	if len(file.Data) > maxRuleFile {
		return nil, []error{heal.Errorf(heal.Invalid, op, "%s: the file has %d bytes, at most %d are taken", file.Name, len(file.Data), maxRuleFile)}
	}
	groups, found := rulefmt.Parse(file.Data, false, model.UTF8Validation, p, slog.New(slog.DiscardHandler))
	var errs []error
	seen := map[string]bool{}
	for _, err := range found {
		for _, text := range describe(err, file.Data) {
			if text = file.Name + ":" + text; !seen[text] {
				seen[text] = true
				errs = append(errs, heal.Errorf(heal.Invalid, op, "%s", text))
			}
		}
	}
	if len(errs) == 0 && documents(file.Data) > 1 {
		errs = append(errs, heal.Errorf(heal.Invalid, op, "%s: the file has several YAML documents, only one is taken", file.Name))
	}
	return groups, errs
}

// positioned is "line:column: text" as rulefmt prints it, the column in two
// places if a rule has two names; a line of 0 is one it does not know.
var positioned = regexp.MustCompile(`(?s)^(?:0:0: )*(?:([1-9][0-9]*:[0-9]+): )?(?:[0-9]+:[0-9]+: )?(group .*)$`)

// yamlLine is how the YAML decoder gives the line of a mistake.
var yamlLine = regexp.MustCompile(`(?s)^(?:yaml: )?line ([0-9]+): (.*)$`)

// oneName undoes that rulefmt decodes a file twice, into twin types, and gives
// each mistake for both.
var oneName = strings.NewReplacer("rulefmt.ruleGroups", "rulefmt.RuleGroups", "rulefmt.RuleGroupNode", "rulefmt.RuleGroup", "rulefmt.RuleNode", "rulefmt.Rule")

// describe gives "line: text" for each mistake in an error of rulefmt.
func describe(err error, data []byte) []string {
	if many, ok := errors.AsType[*yaml.TypeError](err); ok {
		var out []string
		for _, text := range many.Errors {
			out = append(out, withLine(oneName.Replace(text)))
		}
		return out
	}
	rule, ok := errors.AsType[*rulefmt.Error](err)
	if !ok {
		if text, found := strings.CutPrefix(err.Error(), "0:0: "); found {
			return []string{groupLine(data, text) + ": " + text}
		}
		return []string{withLine(err.Error())}
	}
	parts := positioned.FindStringSubmatch(rule.Error())
	switch {
	case parts == nil:
		return []string{ruleLine(data, rule) + ": " + rule.Error()}
	case parts[1] == "":
		return []string{ruleLine(data, rule) + ": " + parts[2]}
	}
	return []string{parts[1] + ": " + parts[2]}
}

func withLine(text string) string {
	if parts := yamlLine.FindStringSubmatch(text); parts != nil {
		return parts[1] + ": " + parts[2]
	}
	return " " + strings.TrimSpace(text)
}

// ruleFileNodes is a rule file with the places of its parts.
type ruleFileNodes struct {
	Groups []struct {
		Name  string      `yaml:"name"`
		Rules []yaml.Node `yaml:"rules"`
	} `yaml:"groups"`
}

// ruleLine is where the rule of a mistake begins.
func ruleLine(data []byte, at *rulefmt.Error) string {
	var file ruleFileNodes
	if err := yaml.Unmarshal(data, &file); err != nil {
		return "1"
	}
	for _, g := range file.Groups {
		if g.Name == at.Group && at.Rule >= 1 && at.Rule <= len(g.Rules) {
			node := g.Rules[at.Rule-1]
			return fmt.Sprintf("%d:%d", node.Line, node.Column)
		}
	}
	return "1"
}

// groupLine is where the group of a mistake in names begins: the first without
// a name, or the second of a name.
func groupLine(data []byte, text string) string {
	var file struct {
		Groups []yaml.Node `yaml:"groups"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return "1"
	}
	seen := map[string]bool{"": true}
	for _, node := range file.Groups {
		var group struct {
			Name string `yaml:"name"`
		}
		if err := node.Decode(&group); err != nil {
			continue
		}
		if seen[group.Name] && (group.Name == "" || strings.Contains(text, `"`+group.Name+`"`)) {
			return fmt.Sprintf("%d:%d", node.Line, node.Column)
		}
		seen[group.Name] = true
	}
	return "1"
}

// documents counts the YAML documents of a file that has no other mistake.
func documents(data []byte) int {
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	n := 0
	for ; n < 2; n++ {
		var node yaml.Node
		if err := decoder.Decode(&node); err != nil {
			break
		}
	}
	return n
}
