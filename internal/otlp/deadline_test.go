package otlp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestWithin says that a lazy deadline is told from one of the standard library
// by its cost alone.
func TestWithin(t *testing.T) {
	type key struct{}
	ways := map[string]func(context.Context, time.Duration) (context.Context, context.CancelFunc){"lazy": within, "standard": context.WithTimeout}
	for name, make := range ways {
		t.Run(name+", time is up for who waits", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ctx, cancel := make(t.Context(), time.Second)
				defer cancel()
				<-ctx.Done()
				if got := time.Since(began); got != time.Second || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
					t.Errorf("ended after %s with %v, want 1s and DeadlineExceeded", got, ctx.Err())
				}
			})
		})
		t.Run(name+", time is up for who asks", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := make(t.Context(), time.Second)
				defer cancel()
				if err := ctx.Err(); err != nil {
					t.Errorf("began with %v, want no error", err)
				}
				<-time.After(2 * time.Second)
				if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("has error %v, want DeadlineExceeded", err)
				}
			})
		})
		t.Run(name+", the parent ends first", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent, stop := context.WithTimeout(t.Context(), time.Second)
				defer stop()
				ctx, cancel := make(parent, time.Minute)
				defer cancel()
				at, ok := ctx.Deadline()
				if want, _ := parent.Deadline(); !ok || !at.Equal(want) {
					t.Errorf("deadline %s, want that of the parent, %s", at, want)
				}
				child, cancelChild := context.WithCancel(ctx)
				defer cancelChild()
				<-child.Done()
				if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("has error %v, want DeadlineExceeded", err)
				}
			})
		})
		t.Run(name+", cancelled before and after somebody waits", func(t *testing.T) {
			ctx, cancel := make(context.WithValue(t.Context(), key{}, 7), time.Minute)
			cancel()
			if err := ctx.Err(); !errors.Is(err, context.Canceled) {
				t.Errorf("has error %v, want Canceled", err)
			}
			<-ctx.Done()
			if err := ctx.Err(); !errors.Is(err, context.Canceled) {
				t.Errorf("has error %v once waited for, want Canceled", err)
			}
			if got := ctx.Value(key{}); got != 7 {
				t.Errorf("value %v, want that of the parent, 7", got)
			}
		})
	}
}
