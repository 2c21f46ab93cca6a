package embedded_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/telemetry/embedded"
	"github.com/homeostat/homeostat/internal/telemetry/telemetrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start opens a Store and runs it until the test ends.
func start(t testing.TB, dir string, opts embedded.Options) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func flush(t testing.TB, s *embedded.Store) {
	t.Helper()
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	telemetrytest.Run(t, func(t *testing.T) telemetrytest.Harness {
		s := start(t, t.TempDir(), embedded.Options{})
		return telemetrytest.Harness{Store: s, Settle: func() { flush(t, s) }}
	})
}
