package watch_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/topo"
)

var dropUDP = chain("inet", "forward priority 0", `udp dport 53 drop comment "no dns"`)

const noDNS = `the request was dropped at fw by rule "udp dport 53 drop" of inet filter forward ("no dns")`

// A drop is concluded at once, a refusal not at all: the prober hears of it.
func TestConclude(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(chain("inet", "forward priority 0", "udp dport 53 drop", "tcp dport 53 reject with tcp reset", "udp dport 54 reject")))
	client := lab.Node("client")
	serve(t, lab.Node("server"), 80)
	for _, addr := range []netip.Addr{server4, server6} {
		for protocol, port := range map[wire.Protocol]uint16{tcp: 53, udp: 54} {
			a := ask(t, client, to(protocol, addr, port))
			a.back(evidence.Refusal)
			begun := time.Now()
			c := a.causeWithin(while)
			if c.Kind != evidence.Reject || !c.Policy || c.Node != "fw" || c.Word() != "reject@fw" || time.Since(begun) < while {
				t.Errorf("%s: %s after %s\n%s", a.what(), c, time.Since(begun), a.timeline())
			}
			if by := a.timeline().Refuser(); by != "fw" {
				t.Errorf("%s: refused by %q\n%s", a.what(), by, a.timeline())
			}
		}
		a := ask(t, client, to(udp, addr, 80))
		a.answered()
		if c := a.causeWithin(while); c.Kind != evidence.Unknown || c.Policy {
			t.Errorf("%s, which was answered: %s", a.what(), c)
		}
		if c := a.watch.Explain(a.trail, verdict.Heard{Answered: true}); c != (evidence.Cause{}) {
			t.Errorf("%s, which was answered: %+v", a.what(), c)
		}
	}
	begun := time.Now()
	a := ask(t, client, to(udp, server4, 53))
	const never = time.Minute // far above what a busy machine makes of "at once"
	if c := a.causeWithin(never); c.Kind != evidence.Drop || time.Since(begun) > never/2 {
		t.Errorf("%s after %s", c, time.Since(begun))
	}
}

// A context that is over ends it with what is known.
func TestConcludeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, officeOf(func(_, _, fw *topo.Node) { fw.NoForward() }))
	flow := to(udp, server4, 53)
	watch := open(t, lab.Nodes(), flow)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	unsent := follow(t, watch, flow)
	const want = "inconclusive: the request was last seen at client: nothing was seen to leave"
	if c := watch.Conclude(over, unsent); c.Kind != evidence.Unknown || c.String() != want {
		t.Error(c)
	}
	if text := watch.Timeline(unsent).String(); text != "nothing was seen\n" {
		t.Error(text)
	}
	a := askUnder(t, watch, lab.Node("client"), flow)
	a.cause()
	if c := watch.Conclude(over, a.trail); c.Word() != "noforward@fw" {
		t.Error(c)
	}
}

// The timeline of a probe that was answered, place by place.
func TestTimelineOfAWayThroughAndBack(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]string{"no rules": "", "rules": chain("inet", "forward priority 0", "counter accept")} {
		if rules != "" {
			harness.Require(t, harness.NftTool)
		}
		lab := harness.Up(t, office(rules))
		serve(t, lab.Node("server"), 53)
		for _, addr := range []netip.Addr{server4, server6} {
			for _, protocol := range []wire.Protocol{udp, tcp, icmp} {
				a := ask(t, lab.Node("client"), to(protocol, addr, 53))
				timeline := a.answered()
				const want = "client/lan out request, fw/lan in request, fw/dmz out request, server/dmz in request, " +
					"server/dmz out answer, fw/dmz in answer, fw/lan out answer, client/lan in answer"
				// A connection's acknowledgement goes the request's way.
				const acknowledged = ", client/lan out request, fw/lan in request, fw/dmz out request, server/dmz in request"
				if got := places(timeline); got != want && (protocol != tcp || got != want+acknowledged) {
					t.Errorf("%s, %s: %s\n%s", name, a.what(), got, timeline)
				}
				if by := timeline.Answerer(); by != "server" {
					t.Errorf("%s: answered by %q", a.what(), by)
				}
			}
		}
	}
}

func places(timeline evidence.Timeline) string {
	var all []string
	for _, s := range timeline {
		all = append(all, strings.TrimSpace(s.Node+"/"+s.Interface+" "+s.Direction.String()+" "+s.Role.String()))
	}
	return strings.Join(all, ", ")
}

// Two offices with the same addresses in one lab: each probe is answered by its own.
func TestWhoAnswersWhereAddressesOverlap(t *testing.T) {
	t.Parallel()
	twins := topo.New("twins")
	for _, name := range []string{"one", "two"} {
		lan := twins.Wire(name+"/lan", "10.0.1.0/24", "fd00:1::/64")
		dmz := twins.Wire(name+"/dmz", "10.0.2.0/24", "fd00:2::/64")
		twins.Host(name+"/client", lan.At("10.0.1.1", "fd00:1::1"))
		twins.Router(name+"/fw", lan, dmz)
		twins.Host(name+"/server", dmz.At("10.0.2.1", "fd00:2::1"))
	}
	lab := harness.Up(t, twins)
	watch := open(t, lab.Nodes(), to(udp, server4, 53), to(tcp, server4, 53), to(icmp, server4, 0))
	var all []*asking
	for _, name := range []string{"one", "two"} {
		serve(t, lab.Node(name+"/server"), 53)
	}
	for _, addr := range []netip.Addr{server4, server6} {
		for _, protocol := range []wire.Protocol{udp, tcp, icmp} {
			for _, name := range []string{"one", "two"} {
				flow := to(protocol, addr, 53)
				flow.From, flow.To = name+"/client", name+"/server"
				source := netip.MustParseAddrPort("10.0.1.1:40000") // the same of both
				if addr.Is6() {
					source = netip.MustParseAddrPort("[fd00:1::1]:40000")
				}
				all = append(all, askBy(t, watch, lab.Node(flow.From), flow, letter{source: source}))
			}
		}
	}
	for _, a := range all {
		timeline, own := a.answered(), strings.TrimSuffix(a.trail.Flow.From, "client")
		if by := timeline.Answerer(); by != own+"server" {
			t.Errorf("%s of %s: answered by %q", a.what(), own, by)
		}
		if slices.ContainsFunc(timeline, func(s evidence.Sighting) bool { return !strings.HasPrefix(s.Node, own) }) {
			t.Errorf("%s of %s was seen elsewhere:\n%s", a.what(), own, timeline)
		}
	}
}

// A service that is not ours signs nothing.
func TestWhoAnswersUnsigned(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	serveUDP(t, lab.Node("server"), 53, func(string) string { return "hello" })
	serveUDP(t, lab.Node("server"), 54, func(string) string { return "" })
	for _, port := range []uint16{53, 54} {
		a := ask(t, lab.Node("client"), to(udp, server4, port))
		if by := a.answered().Answerer(); by != "server" {
			t.Errorf("port %d: answered by %q\n%s", port, by, a.timeline())
		}
	}
}

// Translation at the router: the packet is followed through it, and judged by the
// addresses that it has there.
func TestWatchFollowsThroughTranslation(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	const dnat = "meta l4proto { tcp, udp } th dport "
	lab := harness.Up(t, office("table ip nat {\n"+
		section("pre", "type nat hook prerouting priority -100", dnat+"8080 dnat to 10.0.2.1:80", dnat+"8081 dnat to 10.0.2.1:81", dnat+"8082 dnat to 10.9.0.1:80")+"\n"+
		section("post", "type nat hook postrouting priority 100", `oifname "dmz" masquerade`)+"\n}\n"+
		chain("inet", "forward priority 0", "th dport 81 drop")))
	serve(t, lab.Node("server"), 80)
	for _, protocol := range []wire.Protocol{udp, tcp} {
		a := ask(t, lab.Node("client"), to(protocol, fwLan4, 8080))
		if by := a.answered().Answerer(); by != "server" {
			t.Errorf("%s: answered by %q\n%s", a.what(), by, a.timeline())
		}
		dropped := ask(t, lab.Node("client"), to(protocol, fwLan4, 8081))
		dropped.says(evidence.Drop, `the request was dropped at fw by rule "th dport 81 drop" of inet filter forward`)
		if text := dropped.timeline().String(); !strings.Contains(text, "> 10.0.1.2:8081") || !strings.Contains(text, "> 10.0.2.1:81") {
			t.Errorf("%s: not both addresses in:\n%s", dropped.what(), text)
		}
	}
	a := ask(t, lab.Node("client"), to(udp, fwLan4, 8082))
	if c := a.cause(); c.Word() != "noroute@fw" || !strings.HasSuffix(c.String(), ": no route to 10.9.0.1") {
		t.Errorf("%s: %s\n%s", a.what(), c, a.timeline())
	}
}
