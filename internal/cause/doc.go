// Package cause finds where a case comes from: it says which questions to ask
// about which entities, and ranks the entities by the answers.
//
// # How a score comes about
//
// Every observation that is out of the ordinary becomes a finding: a pattern
// and a weight from 0 to 1, how much it would convince alone. Nothing is judged
// by a number that fits one system only:
//
//   - A metric is out of the ordinary if it is over its limit and well above its
//     own baseline, or far above its baseline whatever the limit.
//   - A whole series is if the opening of the case is further off than as many
//     samples on end are in all but a hundredth of its own normal time. Off from
//     the level of that time, or from what was just before: the first shows what
//     crept up, the second what is small beside the drift of a day.
//   - Requests are if they take steps they do not take at normal times, beyond
//     chance (see logmine).
//
// What the alerted entity lost, time or answers, is followed down the calls by a
// ledger: the loss of an entity less that of what it calls is its own. If the
// alerted entity is measured well and lost nothing, the alert is not borne out.
//
// Findings for one pattern add up as independent witnesses, 1-(1-a)(1-b)...,
// those of one kind in full only once; the strength of an entity is that of its
// pattern, helped a little by its other findings. The score is
//
//	strength x relation x coverage x explained
//
// where relation says how the entity lies to the alerted one (1 if the alerted
// one is it or depends on it), coverage how many of the case's faulty entities
// it can account for, and explained halves an entity that has no evidence of
// its own while something it depends on is out of order. Such a victim never
// ranks above what explains it. Every factor is in the record of the cause.
//
// Where no fault stands, or the alert is not borne out, the best candidate must
// reach 0.5; otherwise no cause is named.
//
// # Confidence
//
// For the pattern on top: the smoothed success rate of what is known from
// MinUses uses on, else TreeConfidence. Both are scaled by min(1, score/0.5),
// and by 0.8 if another entity scores nearly the same.
//
// Its one invariant: the same input gives the same diagnosis, whatever the
// order of its parts; numbers that are not finite are not evidence. It is not
// for gathering evidence (see loop) nor for choosing a remedy (see decide).
package cause
