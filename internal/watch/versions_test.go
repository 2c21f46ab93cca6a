package watch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/watch"
)

func TestVersions(t *testing.T) {
	type sight struct {
		version string
		minute  float64
	}
	tests := []struct {
		name  string
		seen  []sight
		want  []string // "before -> version at minute"
		mixed uint64
	}{
		{"the first is no release", []sight{{"1", 0}, {"1", 5}, {"1", 500}}, nil, 0},
		{"a release", []sight{{"1", 0}, {"2", 5}, {"2", 6}}, []string{"1 -> 2 at 5"}, 0},
		{"one instance after the other", []sight{{"1", 0}, {"2", 5}, {"1", 6}, {"2", 7}, {"1", 8}, {"2", 9}, {"2", 60}}, []string{"1 -> 2 at 5"}, 0},
		{"back to what was before", []sight{{"1", 0}, {"2", 5}, {"2", 10}, {"1", 16}}, []string{"1 -> 2 at 5", "2 -> 1 at 16"}, 0},
		{"silent for long, then the same", []sight{{"1", 0}, {"1", 300}}, nil, 0},
		{"silent for long, then another", []sight{{"1", 0}, {"2", 300}}, []string{"1 -> 2 at 300"}, 0},
		{"silent for long, then one instance after the other", []sight{{"1", 0}, {"2", 300}, {"1", 301}, {"2", 302}}, []string{"1 -> 2 at 300"}, 0},
		{"silent for long amid a release", []sight{{"1", 0}, {"2", 1}, {"1", 2}, {"2", 300}, {"1", 301}}, []string{"1 -> 2 at 1"}, 0},
		{"what comes late says nothing", []sight{{"2", 30}, {"1", 10}, {"2", 31}}, nil, 0},
		{"a clock that is ahead", []sight{{"1", 0}, {"2", 100_000}, {"3", 100_000}}, []string{"1 -> 2 at 600", "2 -> 3 at 600"}, 0},
		{"two side by side, one of them seldom", []sight{{"1", 0}, {"2", 1}, {"1", 2}, {"1", 12}, {"2", 13}, {"1", 14}, {"1", 24}, {"2", 25}, {"1", 26}, {"1", 36}, {"2", 37}}, []string{"1 -> 2 at 1", "1 -> 2 at 13", "1 -> 2 at 25"}, 1},
		{"nothing is said", []sight{{"1", 0}, {"", 5}}, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var got []string
				v := watch.NewVersions(func(_ context.Context, r watch.Release) error {
					got = append(got, fmt.Sprintf("%s -> %s at %.0f", r.Before, r.Version, r.At.Sub(began).Minutes()))
					return nil
				}, watch.VersionOptions{})
				for _, s := range tt.seen {
					v.Seen("cart", s.version, began.Add(time.Duration(s.minute*float64(time.Minute))), began.Add(10*time.Hour))
					v.Seen("unknown_service:java", s.version, began, began)
				}
				ctx, stop := context.WithCancel(t.Context())
				go func() { _ = v.Run(ctx) }()
				synctest.Wait()
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("releases (-got +want):\n%s", diff)
				}
				stats := v.Stats()
				if want := (watch.VersionStats{Services: 1, Found: uint64(len(tt.want)), Mixed: tt.mixed}); stats != want {
					t.Errorf("counted: got %+v, want %+v", stats, want)
				}
				stop()
				synctest.Wait()
			})
		})
	}
}

// TestVersionsAreBounded: neither services nor versions nor releases grow
// without end, and what finds no place is counted.
func TestVersionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		v := watch.NewVersions(func(context.Context, watch.Release) error { return errors.New("the store is away") }, watch.VersionOptions{})
		for i := range 10_050 {
			name := fmt.Sprint("service-", i)
			v.Seen(name, "1", began, began)
			v.Seen(name, "2", began.Add(time.Minute), began.Add(time.Minute))
		}
		if got := v.Stats(); got.Services != 10_000 || got.Dropped != 2*50+10_000-256 {
			t.Errorf("got %+v, want 10,000 services, 256 releases waiting, the rest dropped", got)
		}
		for i := range 1000 {
			at := began.Add(time.Duration(i) * time.Second)
			v.Seen("service-1", fmt.Sprint(i), at, at)
		}
		if got := v.Stats().Mixed; got < 900 {
			t.Errorf("a service with a thousand versions: %d releases were held back, want nearly all", got)
		}
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = v.Run(ctx) }()
		<-time.After(time.Hour)
		if got := v.Stats(); got.Found != 0 || got.Dropped < 10_000 {
			t.Errorf("with a store that is away: got %+v, want everything dropped in the end", got)
		}
		stop()
		synctest.Wait()
	})
}
