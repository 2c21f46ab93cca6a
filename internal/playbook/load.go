package playbook

import (
	"maps"
	"slices"

	"github.com/homeostat/homeostat/internal/action"
)

// File is one file of playbooks that are loaded together.
type File struct {
	Name string // for the messages
	Data []byte
}

// Load reads playbooks that are in force together and binds them to the
// actions there are and to each other. The problems are those of all files, each
// file's in the order of its lines; what has none is given, and a file does not
// fail for another's mistake unless it calls it.
func Load(files []File, specs map[string]action.Spec) ([]*Compiled, Problems) {
	parsed := make([]*Playbook, len(files))
	reports := make([]*report, len(files))
	first := map[string]string{} // file by id
	shelf := map[string]*Playbook{}
	for i, f := range files {
		r := &report{file: f.Name}
		p := r.parse(f.Data)
		if p != nil {
			r.against(p, specs)
		}
		if p != nil && p.ID != "" {
			if other, taken := first[p.ID]; taken {
				r.add(p.at.get("playbook_id"), "choose another, or remove one of the files", "%q is the id of %s too", clip(p.ID), other)
			} else {
				first[p.ID] = f.Name
			}
		}
		parsed[i], reports[i] = p, r
		switch {
		case p == nil || shelf[p.ID] != nil:
		case len(r.problems) == 0:
			shelf[p.ID] = p
		default:
			shelf[p.ID] = nil // it is there, but cannot be called
		}
	}
	var books []*Compiled
	var problems Problems
	for i, p := range parsed {
		if p != nil {
			reports[i].together(p, specs, shelf)
		}
		if len(reports[i].problems) > 0 {
			problems = append(problems, reports[i].sorted()...)
			continue
		}
		books = append(books, bind(p, specs, shelf))
	}
	return books, problems
}

// Examine is Load of one file beside playbooks that are in force. The problems
// are those of the file and, if it has none, those of what calls it and would
// not fit it any more.
func Examine(file string, data []byte, specs map[string]action.Spec, beside ...*Compiled) (*Compiled, Problems) {
	r := &report{file: file}
	p := r.parse(data)
	if p == nil {
		return nil, r.sorted()
	}
	r.against(p, specs)
	others := make([]*Playbook, 0, len(beside))
	for _, c := range beside {
		others = append(others, c.Playbook)
	}
	shelf := shelfOf(p, others)
	r.together(p, specs, shelf)
	if len(r.problems) > 0 {
		return nil, r.sorted()
	}
	var broken Problems
	for _, id := range slices.Sorted(maps.Keys(shelf)) {
		caller := &report{file: shelf[id].File}
		if id == p.ID || !reaches(shelf[id], p.ID, shelf, map[string]bool{}) {
			continue
		}
		caller.together(shelf[id], specs, shelf)
		broken = append(broken, caller.sorted()...)
	}
	if len(broken) > 0 {
		return nil, broken
	}
	return bind(p, specs, shelf), nil
}

// reaches reports whether a playbook calls another, or one that does.
func reaches(p *Playbook, id string, shelf map[string]*Playbook, seen map[string]bool) bool {
	if p == nil || seen[p.ID] {
		return false
	}
	seen[p.ID] = true
	return slices.ContainsFunc(p.Tasks, func(t Task) bool {
		return t.Call != nil && (t.Call.Playbook == id || reaches(shelf[t.Call.Playbook], id, shelf, seen))
	})
}
