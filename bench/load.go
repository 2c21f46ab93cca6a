package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// groupSize is the alerts in one webhook call.
const groupSize = 50

// services is how many services the alerts are about.
const services = 1000

// groupBody is what Alertmanager posts for one group: alerts first, first+1, ...
// of about 600 bytes each, as a rule with the usual labels and annotations
// makes them.
func groupBody(first int, startsAt string) []byte {
	b := make([]byte, 0, groupSize*640)
	b = append(b, `{"version":"4","groupKey":"{}/{}:{}","truncatedAlerts":0,"status":"firing","receiver":"homeostat","groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://alertmanager.example:9093","alerts":[`...)
	for i := first; i < first+groupSize; i++ {
		if i > first {
			b = append(b, ',')
		}
		n := strconv.Itoa(i)
		b = append(b, `{"status":"firing","labels":{"alertname":"HighLatency","severity":"warning","service":"service-`...)
		b = strconv.AppendInt(b, int64(i%services), 10)
		b = append(b, `","instance":"host-`...)
		b = append(b, n...)
		b = append(b, `.example:8080","job":"shop","team":"checkout"},"annotations":{"summary":"p99 of requests is over 500 ms for 5 minutes","runbook_url":"https://wiki.example/runbooks/latency"},"startsAt":"`...)
		b = append(b, startsAt...)
		b = append(b, `","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example:9090/graph?g0.expr=job%3Alatency%3Ap99+%3E+0.5&g0.tab=1","fingerprint":"`...)
		b = append(b, fmt.Sprintf("%016x", i)...)
		b = append(b, `"}`...)
	}
	return append(b, `]}`...)
}

// sent is what a phase of sending came to.
type sent struct {
	alerts int           // acknowledged
	busy   int           // calls answered 503
	took   time.Duration // of the phase
	posts  []time.Duration
}

func (s sent) perSecond() float64 { return float64(s.alerts) / s.took.Seconds() }

// post sends groups over several connections, each one after the answer to the
// one before, until the duration or the groups are over. What is answered with
// 503 is sent again a second later, as Alertmanager does.
func post(ctx context.Context, s *server, conns int, duration time.Duration, groups int, body func(group int) []byte) (sent, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next, alerts, busy atomic.Int64
	took := make([][]time.Duration, conns)
	failed := make(chan error, conns)
	began := time.Now()
	var wg sync.WaitGroup
	for c := range conns {
		wg.Go(func() {
			for ctx.Err() == nil && time.Since(began) < duration {
				group := int(next.Add(1)) - 1
				if group >= groups {
					return
				}
				data := body(group)
				for {
					at := time.Now()
					status, answer, err := s.do(ctx, http.MethodPost, "/api/v1/webhooks/alertmanager", data)
					if err == nil && status == http.StatusServiceUnavailable {
						busy.Add(1)
						time.Sleep(time.Second)
						continue
					}
					if err == nil && status != http.StatusOK {
						err = fmt.Errorf("answered %d: %s", status, tail(string(answer)))
					}
					if err != nil {
						failed <- fmt.Errorf("group %d: %w", group, err)
						cancel()
						return
					}
					took[c] = append(took[c], time.Since(at))
					alerts.Add(groupSize)
					break
				}
			}
		})
	}
	wg.Wait()
	out := sent{alerts: int(alerts.Load()), busy: int(busy.Load()), took: time.Since(began)}
	for _, t := range took {
		out.posts = append(out.posts, t...)
	}
	select {
	case err := <-failed:
		return out, err
	default:
		return out, nil
	}
}
