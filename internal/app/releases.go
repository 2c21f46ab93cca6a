package app

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/watch"
)

// versionAttribute is what telemetry says of the version of who sent it.
const versionAttribute = "service.version"

// openVersions makes what notices releases that nobody told of.
func (s *Server) openVersions() {
	s.versions = watch.NewVersions(s.takeRelease, watch.VersionOptions{Dir: s.watchDir(), Clock: time.Now, Logger: s.log})
	s.add("releases", s.versions.Run)
}

// takeRelease writes down a release as a change. One that cannot be written
// whatever is tried, as the name of its service is none, is nobody's concern.
func (s *Server) takeRelease(ctx context.Context, r watch.Release) error {
	c := heal.Change{
		ID:   heal.ChangeID(fmt.Sprintf("seen:%d:%.80q:%.80q", r.At.UnixMilli(), r.Service, r.Version)),
		Kind: heal.ChangeDeploy, Entity: heal.ServiceID(r.Service), Scope: s.cfg.HomeScope().WithService(r.Service), At: r.At,
		Version: r.Version, Summary: "its telemetry said " + r.Before + " until then", Source: heal.FromTelemetry,
	}
	_, err := s.loop.Noticed(ctx, c, r.Since)
	if heal.Is(err, heal.Invalid) {
		return nil
	}
	return err
}

// releasesOfSpans notes the versions that spans speak of.
func (k keeper) releasesOfSpans(spans []heal.Span) {
	now := time.Now()
	type sender struct{ service, version string }
	first := map[sender]time.Time{}
	for i := range spans {
		s := &spans[i]
		version := s.Attributes[versionAttribute]
		if version == "" {
			continue
		}
		if at, known := first[sender{s.Service, version}]; !known || s.Start.Before(at) {
			first[sender{s.Service, version}] = s.Start
		}
	}
	for s, at := range first {
		k.versions.Seen(s.service, s.version, at, now)
	}
}

// releasesOfLogs notes the versions that log records speak of.
func (k keeper) releasesOfLogs(records []heal.LogRecord) {
	now := time.Now()
	seen := map[[2]string]bool{}
	for i := range records {
		r := &records[i]
		if of := [2]string{r.Service, r.Attributes[versionAttribute]}; of[1] != "" && !seen[of] {
			seen[of] = true
			k.versions.Seen(of[0], of[1], r.Time, now)
		}
	}
}

// releasesOfMetrics notes the versions that metrics speak of, as of now: a point
// may be of a time long before the program said so.
func (k keeper) releasesOfMetrics(md pmetric.Metrics) {
	now := time.Now()
	for _, rm := range md.ResourceMetrics().All() {
		attributes := rm.Resource().Attributes()
		service, named := attributes.Get("service.name")
		version, versioned := attributes.Get(versionAttribute)
		if named && versioned && service.Type() == pcommon.ValueTypeStr && version.Type() == pcommon.ValueTypeStr {
			k.versions.Seen(service.Str(), version.Str(), now, now)
		}
	}
}

// releaseMetrics are of releases that nobody told of.
func releaseMetrics() []observed {
	of := func(name, unit, about string, total bool, read func(*watch.VersionStats) float64) observed {
		return observed{name, unit, about, total, func(r *reading, to put) { to(read(&r.versions)) }}
	}
	return []observed{
		of("homeostat.releases.services", "{service}", "Services whose telemetry says their version.", false, func(s *watch.VersionStats) float64 { return float64(s.Services) }),
		of("homeostat.releases.found", "{release}", "Releases that telemetry showed and that were handed on as changes.", true, func(s *watch.VersionStats) float64 { return float64(s.Found) }),
		of("homeostat.releases.mixed", "{release}", "Releases that were not told: the service runs several versions side by side.", true, func(s *watch.VersionStats) float64 { return float64(s.Mixed) }),
		of("homeostat.releases.dropped", "{release}", "Releases that could not be written down, and sightings of services for which there was no place.", true, func(s *watch.VersionStats) float64 { return float64(s.Dropped) }),
	}
}
