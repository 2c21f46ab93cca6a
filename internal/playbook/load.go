package playbook

import "github.com/homeostat/homeostat/internal/action"

// File is one file of playbooks that are loaded together.
type File struct {
	Name string // for the messages
	Data []byte
}

// Load reads playbooks that are in force together and binds them to the
// actions there are. The problems are those of all files, each file's in the
// order of its lines; what has none is given, and a file does not fail for
// another's mistake.
func Load(files []File, specs map[string]action.Spec) ([]*Compiled, Problems) {
	var books []*Compiled
	var problems Problems
	first := map[string]string{} // file by id
	for _, f := range files {
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
		if len(r.problems) > 0 {
			problems = append(problems, r.sorted()...)
			continue
		}
		books = append(books, &Compiled{Playbook: p, specs: specs})
	}
	return books, problems
}

// Examine is Load of one file.
func Examine(file string, data []byte, specs map[string]action.Spec) (*Compiled, Problems) {
	books, problems := Load([]File{{Name: file, Data: data}}, specs)
	if len(problems) > 0 {
		return nil, problems
	}
	return books[0], nil
}
