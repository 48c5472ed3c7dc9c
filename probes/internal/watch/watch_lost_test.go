package watch_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	watching "github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Where something did not fit into a buffer nothing is concluded, however much was
// seen: what is lost may be what counts.
func TestWatchThatLosesSomething(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	for name, c := range map[string]struct {
		taps, traces bool
		want         string
	}{
		"packets at the taps": {true, false, ": packets were lost at the tap"},
		"events of the trace": {false, true, "node fw: events of the rule trace were lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := harness.Up(t, office(dropUDP))
			flow := to(udp, server4, 53)
			watch := open(t, lab.Nodes(), flow)
			askUnder(t, watch, lab.Node("client"), flow).says(evidence.Drop, noDNS) // the control
			watch.Shrink(c.taps, c.traces)
			beside := follow(t, watch, flow)
			many := askBy(t, watch, lab.Node("client"), flow, letter{times: 50})
			for _, trail := range []*watching.Trail{many.trail, beside} {
				if text := watch.Explain(trail, verdict.Heard{}).String(); !strings.HasPrefix(text, "inconclusive: node ") || !strings.HasSuffix(text, c.want) {
					t.Errorf("%s", text)
				}
			}
			watch.Done(many.trail, beside)
			if c := many.causeWithin(while); c.Kind != evidence.Unknown || c.Policy {
				t.Errorf("%s\n%s", c, many.timeline())
			}
		})
	}
}

// The room for probes is what the smallest trace or tap holds: no more begin at once.
func TestRoomOfAWatch(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	flow := to(udp, server4, 53)
	free := open(t, harness.Up(t, office("")).Nodes(), flow)
	ruled := open(t, harness.Up(t, office(dropUDP)).Nodes(), flow)
	if all, some := free.Room(), ruled.Room(); some < 1 || some >= all {
		t.Errorf("with rules %d, without %d", some, all)
	}
	if ruled.Shrink(false, true); ruled.Room() != 1 {
		t.Errorf("of the smallest buffer: %d", ruled.Room())
	}
	if free.Shrink(true, false); free.Room() != 1 {
		t.Errorf("of the smallest tap: %d", free.Room())
	}
}

// Where a namespace is not the harness's own no table is put there: taps only. It is
// heard beside the lab that it is asked from.
func TestWatchOfAttachedNodes(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.Root, harness.NftTool)
	lab := harness.Up(t, office(dropUDP))
	fw := harness.Attach(t, "client", lab.Node("fw").Path())
	before, flow := ruleset(t, fw), to(udp, server4, 53)
	alone := open(t, []*harness.Node{fw})
	alone.Done(follow(t, alone, flow))
	if now := ruleset(t, fw); !slices.Equal(now, before) {
		t.Errorf("put there: %q", added(before, now))
	}
	beside := open(t, []*harness.Node{fw, lab.Node("client")})
	if name := beside.Label(fw); name != "client/client" || beside.Node(name) != fw || beside.Label(lab.Node("client")) != "client" {
		t.Errorf("it is called %q", name)
	}
	a := askUnder(t, beside, lab.Node("client"), flow)
	const want = "client/lan out request, client/client/lan in request, fw/lan in request, fw/ at request"
	if c := a.causeWithin(while); c.Word() != "drop@fw" || !sameWords(places(a.timeline()), want) {
		t.Errorf("%s\n%s", c, a.timeline())
	}
}

// sameWords says whether two lists have the same entries: of two taps at one interface
// either may be read first.
func sameWords(a, b string) bool {
	sorted := func(list string) []string {
		entries := strings.Split(list, ", ")
		slices.Sort(entries)
		return entries
	}
	return slices.Equal(sorted(a), sorted(b))
}

// One watch for many probes at once, as a survey has: no probe's packet is taken
// for another's.
func TestWatchOfManyProbes(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(chain("inet", "forward priority 0", "udp dport 53 drop", "tcp dport 53 drop", "ip daddr 10.0.2.1 icmp type echo-request drop")))
	serve(t, lab.Node("server"), 80)
	watch := open(t, lab.Nodes(), to(udp, server4, 53), to(udp, server4, 80), to(tcp, server4, 53), to(icmp, server4, 0))
	type probe struct {
		protocol wire.Protocol
		addr     netip.Addr
		port     uint16
		word     string
	}
	kinds := []probe{
		{udp, server4, 53, "drop@fw"}, {udp, server6, 53, "drop@fw"}, {tcp, server6, 53, "drop@fw"}, {icmp, server4, 0, "drop@fw"},
		{udp, server4, 80, ""}, {tcp, server4, 80, ""}, {tcp, server6, 80, ""}, {icmp, server6, 0, ""},
	}
	asked := map[*asking]probe{}
	for range 10 {
		for _, p := range kinds {
			asked[askUnder(t, watch, lab.Node("client"), to(p.protocol, p.addr, p.port))] = p
		}
	}
	for a, p := range asked {
		if p.word != "" {
			if c := a.cause(); c.Word() != p.word {
				t.Errorf("%s: %s\n%s", a.what(), c, a.timeline())
			}
			continue
		}
		if by := a.answered().Answerer(); by != "server" {
			t.Errorf("%s: answered by %q\n%s", a.what(), by, a.timeline())
		}
	}
	for a := range asked {
		texts := map[string]bool{} // of the requests: another's has another source port, or nonce
		for _, s := range a.timeline() {
			if s.Role == evidence.Request {
				texts[strings.TrimRight(s.Text, " SYNACK")] = true
			}
			if s.Node == "server" && a.trail.Flow.Port == 53 {
				t.Errorf("%s came to the server\n%s", a.what(), a.timeline())
			}
		}
		if len(texts) != 1 {
			t.Errorf("%s: %d requests\n%s", a.what(), len(texts), a.timeline())
		}
	}
}
