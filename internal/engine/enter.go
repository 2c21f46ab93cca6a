package engine

import (
	"context"

	"github.com/homeostat/homeostat/internal/heal"
)

// maxTasks bounds the tasks of a run with the parts of its loops: a run is
// written whole at each change.
const maxTasks = 1000

func isGroup(run *heal.Run, key heal.StepKey) bool {
	t := run.Task(key.Task)
	return t != nil && t.Group != ""
}

// enter opens a group that is due: the list of a loop is evaluated, once, and
// made durable with the parts it gives. The error is errGone.
func (e *Engine) enter(ctx context.Context, j job, seen *memory, key heal.StepKey) error {
	run := &seen.run.Value
	items, err := seen.book.Items(run, key.Task)
	if err == nil {
		err = fits(run, key.Task, len(items))
	}
	if err != nil {
		return e.stillborn(ctx, j, key, err)
	}
	return e.resolve(ctx, j, Entered{Key: key, Items: items})
}

// fits checks that a run can take the parts of a loop.
func fits(run *heal.Run, loop string, parts int) error {
	if n := len(run.Tasks) + parts; n > maxTasks {
		return heal.Errorf(heal.Invalid, "for_each of task "+loop, "the run would have %d tasks, at most %d are taken", n, maxTasks)
	}
	return nil
}
