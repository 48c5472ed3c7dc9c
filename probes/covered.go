package probes

import (
	"context"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
)

// cover has rule coverage hear what the rules of the labs' nodes do with probes that are not
// watched, until end is called; pace is for those of a survey, before they begin. A
// probe under watch is heard anyway.
func cover(labs []*harness.Lab, probes ...Probe) (pace, end func()) {
	return watch.Cover(labs, flowsOf(probes)...)
}

// flowsOf say which protocols and ports are to be heard.
func flowsOf(probes []Probe) (flows []wire.Flow) {
	for _, p := range probes {
		flows = append(flows, wire.Flow{Protocol: p.kind.protocol, Port: p.port})
	}
	return flows
}

// askCovered is askAll while rule coverage hears.
func (g Grid) askCovered(ctx context.Context, tasks []*task) error {
	pace, end := cover(g.labs(), g.Probes...)
	defer end()
	for _, t := range tasks {
		t.pace = pace
	}
	return askAll(ctx, tasks)
}
