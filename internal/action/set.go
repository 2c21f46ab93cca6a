package action

import (
	"context"
	"maps"

	"github.com/homeostat/homeostat/internal/heal"
)

// Set sends every call to the driver that declared its action.
type Set struct {
	specs   map[string]Spec
	drivers map[string]Driver
}

// NewSet joins the drivers. It fails if a spec is not valid or two drivers
// declare one action.
func NewSet(drivers ...Driver) (*Set, error) {
	specs, owners, err := collect(drivers)
	if err != nil {
		return nil, err
	}
	return &Set{specs: specs, drivers: owners}, nil
}

// Specs gives the spec of every action by its name. The map is the caller's.
func (s *Set) Specs() map[string]Spec { return maps.Clone(s.specs) }

// Spec gives the spec of one action.
func (s *Set) Spec(name string) (Spec, bool) {
	spec, ok := s.specs[name]
	return spec, ok
}

// Do carries the action out; kind Invalid if no driver has it.
func (s *Set) Do(ctx context.Context, call Call) (Result, error) {
	d, ok := s.drivers[call.Action]
	if !ok {
		return Result{}, unknownAction(call.Action, sortedKeys(s.specs))
	}
	return d.Do(ctx, call)
}

// Observe asks the world about the action; kind Invalid if no driver has it.
func (s *Set) Observe(ctx context.Context, call Call) (Observation, error) {
	d, ok := s.drivers[call.Action]
	if !ok {
		return Observation{}, unknownAction(call.Action, sortedKeys(s.specs))
	}
	return d.Observe(ctx, call)
}

// PreviewSet is to previewers what Set is to drivers. It has no way to act.
type PreviewSet struct {
	specs      map[string]Spec
	previewers map[string]Previewer
}

// NewPreviewSet joins the previewers under the rules of NewSet.
func NewPreviewSet(previewers ...Previewer) (*PreviewSet, error) {
	specs, owners, err := collect(previewers)
	if err != nil {
		return nil, err
	}
	return &PreviewSet{specs: specs, previewers: owners}, nil
}

// Specs gives the spec of every action by its name. The map is the caller's.
func (s *PreviewSet) Specs() map[string]Spec { return maps.Clone(s.specs) }

// Preview says what the action would do; kind Invalid if no previewer has it.
func (s *PreviewSet) Preview(ctx context.Context, call Call) (Preview, error) {
	p, ok := s.previewers[call.Action]
	if !ok {
		return Preview{}, unknownAction(call.Action, sortedKeys(s.specs))
	}
	return p.Preview(ctx, call)
}

func collect[D interface{ Specs() []Spec }](drivers []D) (map[string]Spec, map[string]D, error) {
	specs, owners := map[string]Spec{}, map[string]D{}
	for _, d := range drivers {
		for _, spec := range d.Specs() {
			if err := spec.Validate(); err != nil {
				return nil, nil, err
			}
			if _, taken := owners[spec.Name]; taken {
				return nil, nil, heal.Errorf(heal.Internal, "join drivers", "two drivers declare the action %s", spec.Name)
			}
			specs[spec.Name], owners[spec.Name] = spec, d
		}
	}
	return specs, owners, nil
}
