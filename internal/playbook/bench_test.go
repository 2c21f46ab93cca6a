package playbook

import (
	"os"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, problems := Parse("full.yaml", data); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	p, problems := Parse("m.yaml", []byte("playbook_id: m\nname: M\ntrigger_conditions: [{pattern: process_down, when: 'values.value > 90'}]\ntasks: [{id: a, action: process.start}]"))
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	s := Subject{Pattern: "process_down", Target: "service/a", Values: map[string]float64{"value": 91}}
	for b.Loop() {
		if !p.Matches(s).OK {
			b.Fatal("got no match")
		}
	}
}
