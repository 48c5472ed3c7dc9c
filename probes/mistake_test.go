package probes_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/fence"
	"github.com/onsi/gomega/types"
)

// What is nil, or no number that is meant, is told in a sentence, whatever is asked.
func TestMistakesAreSentences(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	var no context.Context
	var noNode *harness.Node
	asked := func(_ any, err error) error { return err }
	world := fence.World{Outside: server, Free: server}
	local := netip.MustParseAddrPort("127.0.0.1:80")
	var noConnection *probes.Connection // what Connect returns with its error
	noConnection.Close()
	var noMatrix *probes.Matrix
	if noMatrix.Cell("client", "server") != "" || noMatrix.Results("client", "server") != nil || noMatrix.String() == "" || noConnection.String() == "" {
		t.Error("the nil Matrix, or the nil Connection, says something else than that it is none")
	}
	for want, err := range map[string]error{
		"ask: the context is nil: pass t.Context()":             asked(probes.Ask(no, client, server, icmp)),
		"ask: no node to ask from":                              asked(probes.Ask(t.Context(), noNode, server, icmp)),
		"watch: the context is nil: ":                           asked(probes.Watch(no, client, server, icmp)),
		"watch: no node to ask from":                            asked(probes.Watch(t.Context(), noNode, server, icmp)),
		"who has: the context is nil: ":                         asked(probes.WhoHas(no, client, "lan", local.Addr(), 0)),
		"who has: no node to ask from":                          asked(probes.WhoHas(t.Context(), noNode, "lan", local.Addr(), 0)),
		"who hears: the context is nil: ":                       asked(probes.WhoHears(no, client, "lan", local.Addr(), dns)),
		"who hears: no node to ask from":                        asked(probes.WhoHears(t.Context(), noNode, "lan", local.Addr(), dns)),
		"ping: the context is nil: ":                            asked(probes.Ping(no, client, server, probes.Train{})),
		"survey: the lab is nil: pass what harness.Up returns":  asked(probes.Survey(t.Context(), nil, icmp)),
		"survey: the lab is nil: pass what harness.Up":          asked(probes.WatchSurvey(t.Context(), nil)),
		"survey: the context is nil: ":                          asked(probes.Survey(no, lab)),
		"survey: the context is nil: pass":                      asked(probes.WatchSurvey(no, lab)),
		"survey: the context is nil: pass t":                    asked(probes.Grid{}.Survey(no)),
		"ask: there is no connection: ask over what Connect":    asked(noConnection.Ask(t.Context())),
		"watch: there is no connection: ask over what Connect":  asked(new(probes.Connection).Watch(t.Context())),
		"check a fence: the context is nil: ":                   asked(fence.Check(no, client, world)),
		"connect: the context is nil: ":                         asked(fence.Connect(no, client, world)),
		"dial 127.0.0.1:80: the context is nil: ":               asked(client.Dial(no, "tcp", local)),
		"listen at 127.0.0.1:80: the context is nil: ":          asked(client.Listen(no, "tcp", local)),
		"listen at 127.0.0.1:80: the context is nil: pass":      asked(client.ListenPacket(no, "udp", local)),
		"start true: the context is nil: ":                      client.CommandContext(no, "true").Start(),
		"ask: probe tcp/80: Within(-1ns): a wait is longer":     asked(probes.Ask(t.Context(), client, server, web.Within(-1))),
		"watch: probe udp/53: Within(-1s): a wait is longer ":   asked(probes.Watch(t.Context(), client, server, dns.Within(-time.Second))),
		"survey: probe icmp: Within(-1ns): a wait is longer ":   asked(probes.Survey(t.Context(), lab, icmp.Within(-1))),
		"survey: probe icmp: Within(-1ns): a wait is longer th": asked(probes.WatchSurvey(t.Context(), lab, icmp.Within(-1))),
		"ask: probe icmp: Within(-1ns): ":                       asked(probes.Ping(t.Context(), client, server, probes.Train{Within: -1})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestMistakesInMatchersAreSentences(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	var no context.Context
	for want, matcher := range map[string]types.GomegaMatcher{
		"MustMatter: the matcher is nil: pass what BeIsolatedFrom":                 probes.MustMatter((*probes.IsolationMatcher)(nil)),
		"MustMatter: the matcher is nil: pass what BeIsolatedFrom, BeUnansweredBy": probes.MustMatter((*probes.RefusalMatcher)(nil)),
		"MustMatter: the matcher is nil: ":                                         probes.MustMatter((*probes.IsolationMatcher)(nil)).At("fw").By("a").Sampled(2),
		"BeIsolatedFrom: the target is a nil node":                                 probes.BeIsolatedFrom((*harness.Node)(nil), web),
		"BeRefusedBy: the target is the zero Endpoint":                             probes.BeRefusedBy(harness.Endpoint{}, web),
		"Reach: the context is nil: ":                                              probes.Reach(server).WithContext(no),
		"BeIsolatedFrom: the context is nil: ":                                     probes.BeIsolatedFrom(server).WithContext(no),
		"BeUnansweredBy: the context is nil: ":                                     probes.BeUnansweredBy(server, web).WithContext(no),
		"BeRefusedBy: the context is nil: ":                                        probes.BeRefusedBy(server, web).WithContext(no),
		"BeRejectedBy: the context is nil: ":                                       probes.BeRejectedBy("fw", server, web).WithContext(no),
		"check a fence: the context is nil: ":                                      fence.BeClosed(fence.World{Outside: server, Free: server}).WithContext(no),
		"BeIsolatedFrom: Sampled(-1): no number of probes below one":               probes.BeIsolatedFrom(server, web).Sampled(-1),
		"BeUnansweredBy: Sampled(0): no number of probes below one":                probes.BeUnansweredBy(server, web).Sampled(0),
		`BeIsolatedFrom: Because: no cause is of the kind "rubbish"; there are: `:  probes.BeIsolatedFrom(server, web).Because("drop", "rubbish"),
		`BeUnansweredBy: Because: no cause is of the kind "Drop"; there are: `:     probes.BeUnansweredBy(server, web).Because("Drop"),
		"probe tcp/80: Within(-1ns): a wait is longer than nothing":                probes.BeIsolatedFrom(server, web.Within(-1)),
		"probe tcp/80: Within(-1ns): a wait is longer than":                        probes.BeIsolatedFrom(server).Except(web.Within(-1)),
		"probe tcp/80: Within(-1ns): a wait is longer":                             probes.Reach(server, web.Within(-1)),
		"probe tcp/80: Within(-1ns): a wait is":                                    probes.BeRefusedBy(server, web.Within(-1)),
	} {
		holds, err := matcher.Match(client)
		if holds || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v, %v", want, holds, err)
		}
		_, _ = matcher.FailureMessage(client), matcher.NegatedFailureMessage(client) // as a matcher of several asks
	}
}

// A kind that a cause can be of is none too many to expect.
func TestEveryKindMayBeExpected(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	for _, kind := range []evidence.Kind{evidence.Drop, evidence.Neighbour, evidence.Unknown, evidence.NoPath} {
		if holds, err := probes.BeIsolatedFrom(server, icmp).Because(kind).Match(client); holds || err != nil {
			t.Errorf("%s: %v, %v", kind, holds, err)
		}
	}
}
