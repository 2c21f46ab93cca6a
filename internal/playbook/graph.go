package playbook

import (
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// graph checks ids and dependencies, notes for each task what has ended before
// it, and gives an order in which each task stands after those it depends on.
// Tasks that could go at the same time keep the order of the source.
func (c *compiler) graph(tasks []Task, outputs map[string]bool) []int {
	index := make(map[string]int, len(tasks))
	var ids []string
	for i, t := range tasks {
		if first, twice := index[t.ID]; twice && t.ID != "" {
			line, _ := tasks[first].at.position()
			c.add(t.at.get("id"), "", "the id %q is already used on line %d", t.ID, line)
			continue
		}
		index[t.ID] = i
		ids = append(ids, t.ID)
	}
	needs := make([][]int, len(tasks))
	for i := range tasks {
		needs[i] = c.needs(&tasks[i], index, ids)
	}
	order := topological(needs)
	if len(order) < len(tasks) {
		c.cycle(tasks, needs, order)
		for i := range tasks {
			tasks[i].before = outputs // what comes before what cannot be said
		}
		return order
	}
	for _, i := range order {
		tasks[i].before = map[string]bool{}
		for _, k := range needs[i] {
			for name := range withOwn(tasks[k].before, &tasks[k]) {
				tasks[i].before[name] = true
			}
		}
	}
	return order
}

func (c *compiler) needs(t *Task, index map[string]int, ids []string) []int {
	var out []int
	at := t.at.get("depends_on")
	places := at.items()
	if at.scalar() {
		places = []view{at}
	}
	for n, id := range t.DependsOn {
		k, ok := index[id]
		switch {
		case !ok:
			hint := "there are " + clipList(ids)
			if near := heal.Nearest(id, ids); near != "" {
				hint = "did you mean " + near + "?"
			}
			c.add(places[n], hint, "there is no task %q", clip(id))
		case slices.Contains(out, k):
			c.add(places[n], "", "task %q is named twice", id)
		default:
			out = append(out, k)
		}
	}
	return out
}

// topological orders nodes by Kahn's algorithm, the lowest free one first. It
// leaves out what is on or behind a cycle.
func topological(needs [][]int) []int {
	open := make([]int, len(needs))
	behind := make([][]int, len(needs))
	var free []int
	for i, ns := range needs {
		open[i] = len(ns)
		for _, k := range ns {
			behind[k] = append(behind[k], i)
		}
		if len(ns) == 0 {
			free = append(free, i)
		}
	}
	var order []int
	for len(free) > 0 {
		slices.Sort(free)
		i := free[0]
		free = free[1:]
		order = append(order, i)
		for _, k := range behind[i] {
			if open[k]--; open[k] == 0 {
				free = append(free, k)
			}
		}
	}
	return order
}

// cycle reports one cycle among the tasks that could not be ordered.
func (c *compiler) cycle(tasks []Task, needs [][]int, ordered []int) {
	at := 0
	for slices.Contains(ordered, at) {
		at++
	}
	var walk []int
	for !slices.Contains(walk, at) {
		walk = append(walk, at)
		next := slices.IndexFunc(needs[at], func(k int) bool { return !slices.Contains(ordered, k) })
		at = needs[at][next]
	}
	walk = walk[slices.Index(walk, at):]
	names := make([]string, 0, len(walk)+1)
	for _, i := range append(walk, at) {
		names = append(names, tasks[i].ID)
	}
	c.add(tasks[at].at.get("depends_on"), "", "the tasks wait for each other: %s", strings.Join(names, " -> "))
}
