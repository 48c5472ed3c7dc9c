package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/report"
	"github.com/onsi/ginkgo/v2/types"
)

// specs are the specs of a suite in the order they are met, each with what all the
// reports say of it.
type specs struct {
	order  []id
	said   map[id][]said
	splits map[string]bool // how many shards there are, by the reports
}

// id is a spec's name, and which it is of those that share it.
type id struct {
	kind types.NodeType
	name string
	nth  int
}

// said is what the report in a file says of a spec.
type said struct {
	types.SpecReport
	file string
}

func newSpecs() *specs { return &specs{said: map[id][]said{}, splits: map[string]bool{}} }

// add adds what a report says of its specs.
func (s *specs) add(r source) {
	count := map[id]int{}
	for _, spec := range r.SpecReports {
		key := id{kind: spec.LeafNodeType, name: report.Name(spec)}
		count[key]++
		key.nth = count[key]
		if s.said[key] == nil {
			s.order = append(s.order, key)
		}
		s.said[key] = append(s.said[key], said{spec, r.file})
		if _, of := otherShard(spec); of != "" {
			s.splits[of] = true
		}
	}
}

// merged are the specs' reports, and what is wrong with the whole.
func (s *specs) merged() (all types.SpecReports, wrong []string) {
	twice := map[string][]string{}
	for _, key := range s.order {
		if key.kind != types.NodeTypeIt {
			all = append(all, ofNode(s.said[key])...)
			continue
		}
		spec, files := ofSpec(s.said[key])
		all = append(all, spec)
		if len(files) > 1 {
			place := strings.Join(files, " and ")
			twice[place] = append(twice[place], key.name)
		}
	}
	for _, place := range slices.Sorted(maps.Keys(twice)) {
		wrong = append(wrong, overlap(place, twice[place]))
	}
	if len(s.splits) > 1 {
		wrong = append(wrong, mixture(slices.Sorted(maps.Keys(s.splits))))
	}
	return all, wrong
}

// ofNode are the reports of a node that every shard has, like BeforeSuite: each that
// failed, or else the first.
func ofNode(all []said) (reports []types.SpecReport) {
	for _, s := range all {
		if s.Failed() {
			reports = append(reports, s.SpecReport)
		}
	}
	if reports == nil {
		reports = append(reports, all[0].SpecReport)
	}
	return reports
}

// ofSpec is the report of the shard that has the spec, and the files in which it was
// run. Of several reports, one that failed counts.
func ofSpec(all []said) (spec types.SpecReport, files []string) {
	best := all[0]
	for _, s := range all {
		if weight(s.SpecReport) > weight(best.SpecReport) {
			best = s
		}
		if ran(s.SpecReport) {
			files = append(files, s.file)
		}
	}
	if part, of := otherShard(best.SpecReport); of != "" {
		best.State = types.SpecStateFailed
		best.Failure = types.Failure{
			Message:             fmt.Sprintf("no report has it run: it is in shard %s/%s, whose report is missing, or ended before", part, of),
			Location:            best.LeafNodeLocation,
			FailureNodeContext:  types.FailureNodeIsLeafNode,
			FailureNodeType:     best.LeafNodeType,
			FailureNodeLocation: best.LeafNodeLocation,
		}
	}
	return best.SpecReport, files
}

// weight orders the reports of a spec by what they tell of it. What one report
// leaves out, as after a failed BeforeSuite, another may still await of its shard.
func weight(spec types.SpecReport) int {
	_, other := otherShard(spec)
	switch {
	case spec.Failed():
		return 4
	case ran(spec):
		return 3
	case spec.FailureMessage() != "" && other == "": // skipped by its own shard
		return 2
	case other != "":
		return 1
	}
	return 0 // pending, or left out by a focus
}

func ran(spec types.SpecReport) bool { return spec.State == types.SpecStatePassed || spec.Failed() }

// inOther is what harness.OtherShard says.
var inOther = regexp.MustCompile(`^in another shard: (\d+)/(\d+)$`)

// otherShard is the shard that a report leaves the spec to.
func otherShard(spec types.SpecReport) (part, of string) {
	if match := inOther.FindStringSubmatch(spec.FailureMessage()); match != nil && spec.State == types.SpecStateSkipped {
		return match[1], match[2]
	}
	return "", ""
}
