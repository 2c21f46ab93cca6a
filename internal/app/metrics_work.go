package app

import (
	"go.opentelemetry.io/otel/attribute"
)

// workMetrics are of cases, runs and the record.
func workMetrics() []observed {
	return []observed{
		{"homeostat.alerts.backlog", "{delivery}", "Accepted deliveries of alerts that wait for the alert stage.", false, func(r *reading, to put) { to(float64(r.backlog)) }},
		{"homeostat.cases.open", "{case}", "Cases that have not ended, by state; at most 10 s old.", false, func(r *reading, to put) {
			if r.slow != nil {
				byState(r.slow.cases, to)
			}
		}},
		{"homeostat.runs.open", "{run}", "Runs that have not ended, by state; at most 10 s old.", false, func(r *reading, to put) {
			if r.slow != nil {
				byState(r.slow.runs, to)
			}
		}},
		{"homeostat.store.updates", "{update}", "Updates of the record that were made durable.", true, func(r *reading, to put) { to(float64(r.store.Updates)) }},
		{"homeostat.store.commits", "{commit}", "Commits that made updates durable; updates that come at once share one.", true, func(r *reading, to put) { to(float64(r.store.Commits)) }},
		{"homeostat.store.retries", "{try}", "Updates and reads begun again because the database was away.", true, func(r *reading, to put) { to(float64(r.store.Retries)) }},
		{"homeostat.store.refused", "{update}", "Updates refused because too many waited.", true, func(r *reading, to put) { to(float64(r.store.Refused)) }},
		{"homeostat.store.waiting", "{update}", "Updates that wait for their turn.", false, func(r *reading, to put) { to(float64(r.store.Waiting)) }},
		{"homeostat.store.clock.moved", "s", "By how much the store's clock is ahead of the time that passed, or behind it if negative; 0 while the two agree to 10 s. While it is not 0, nothing automatic is begun.", false, func(r *reading, to put) {
			to(r.moved.Seconds())
		}},
		{"homeostat.notify.messages", "{message}", "Messages to people by what became of them: sent, failed, dropped. Only with a channel, as the next.", true, func(r *reading, to put) {
			if r.outbox == nil {
				return
			}
			to(float64(r.outbox.Sent), attribute.String("result", "sent"))
			to(float64(r.outbox.Failed), attribute.String("result", "failed"))
			to(float64(r.outbox.Dropped), attribute.String("result", "dropped"))
		}},
		{"homeostat.notify.waiting", "{message}", "Messages to people that wait to be sent.", false, func(r *reading, to put) {
			if r.outbox != nil {
				to(float64(r.outbox.Waiting))
			}
		}},
		{"homeostat.heartbeat.beats", "{beat}", "Heartbeats by what became of them: sent, failed, held back because something was not well. Only with a watcher.", true, func(r *reading, to put) {
			if r.beats == nil {
				return
			}
			to(float64(r.beats.Sent), attribute.String("result", "sent"))
			to(float64(r.beats.Failed), attribute.String("result", "failed"))
			to(float64(r.beats.Held), attribute.String("result", "held"))
		}},
	}
}

func byState(counts map[string]int64, to put) {
	for state, n := range counts {
		to(float64(n), attribute.String("state", state))
	}
}

// sensorMetrics are of what watches by itself: monitors and rules.
func sensorMetrics() []observed {
	return []observed{
		{"homeostat.monitor.probes", "{probe}", "Probes made by monitors.", true, func(r *reading, to put) { to(float64(r.probes.Probes)) }},
		{"homeostat.monitor.probes.failed", "{probe}", "Probes that failed.", true, func(r *reading, to put) { to(float64(r.probes.Failures)) }},
		{"homeostat.monitor.alerts.delivered", "{alert}", "Transitions and reminders of monitors that the intake took.", true, func(r *reading, to put) { to(float64(r.probes.Delivered)) }},
		{"homeostat.monitor.deliveries.failed", "{delivery}", "Times the intake refused what a monitor told; it is told again.", true, func(r *reading, to put) { to(float64(r.probes.Retries)) }},
		{"homeostat.monitor.alerts.superseded", "{alert}", "Transitions that gave way to a newer one before they were taken.", true, func(r *reading, to put) { to(float64(r.probes.Superseded)) }},
		{"homeostat.rules.alerts.delivered", "{alert}", "Alerts of rules that the intake took.", true, func(r *reading, to put) { to(float64(r.delivery.Delivered)) }},
		{"homeostat.rules.deliveries.failed", "{delivery}", "Times the intake refused alerts of rules; they are told again.", true, func(r *reading, to put) { to(float64(r.delivery.Failed)) }},
		{"homeostat.rules.failing", "{rule}", "Rules whose last evaluation failed.", false, func(r *reading, to put) {
			failing := 0
			for _, rule := range r.rules {
				if rule.Error != "" {
					failing++
				}
			}
			to(float64(failing))
		}},
		{"homeostat.rules.evaluation.age", "s", "Since the rule that waits longest was evaluated; absent until one was.", false, func(r *reading, to put) {
			oldest := 0.0
			for _, rule := range r.rules {
				if !rule.LastEvaluation.IsZero() {
					oldest = max(oldest, r.at.Sub(rule.LastEvaluation).Seconds())
				}
			}
			if oldest > 0 {
				to(oldest)
			}
		}},
	}
}
