package evidence

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
)

func TestHopsHaveWords(t *testing.T) {
	t.Parallel()
	end := netip.MustParseAddrPort
	asked := Tuple{end("10.0.1.1:40000"), end("203.0.113.9:80")}
	led := Tuple{end("10.0.2.2:40000"), end("10.0.2.1:80")}
	ping := Tuple{netip.AddrPortFrom(asked.Source.Addr(), 0), netip.AddrPortFrom(asked.Destination.Addr(), 0)}
	rule := func(text string) *Rule {
		return &Rule{Family: "inet", Table: "filter", Chain: "forward", Handle: 7, Text: text}
	}
	route := &inspect.Route{To: netip.MustParsePrefix("10.0.2.0/24"), Table: 254}
	way := &inspect.Route{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.1.2"), Table: 100}
	for want, h := range map[string]Hop{
		"request at client: sent, out at lan; by the default route via 10.0.1.2 in table 100, to which policy routing rule \"1000: from all lookup 100\" leads": {
			Role: Request, Way: 1, Node: "client", Out: "lan", Came: ping, Left: ping, Route: way,
			PolicyRule: &inspect.PolicyRule{Priority: 1000, Action: 1, Table: 100, SuppressBits: -1},
		},
		`request at fw: in at lan, out at dmz; counted and marked by rule "counter meta mark set 0x7" of inet filter forward; ` +
			`translated from 10.0.1.1:40000 -> 203.0.113.9:80 to 10.0.2.2:40000 -> 10.0.2.1:80 by rule "dnat to 10.0.2.1" of inet filter forward; ` +
			`accepted by policy accept of inet filter forward; with mark 0x7; by the route 10.0.2.0/24`: {
			Role: Request, Way: 1, Node: "fw", In: "lan", Out: "dmz", Came: asked, Left: led, Mark: 7, Route: route,
			PolicyRule: &inspect.PolicyRule{Priority: 32766, Action: 1, Table: 254, SuppressBits: -1},
			Rules: []Passed{
				{Rule: rule("counter meta mark set 0x7"), Effects: []Effect{Counts, Marks}},
				{Rule: rule("dnat to 10.0.2.1"), Effects: []Effect{Translates}},
				{Rule: &Rule{Family: "inet", Table: "filter", Chain: "forward"}, Effects: []Effect{Accepts}},
			},
		},
		"answer on way 2 at fw: lost from sight before it was seen here, in at lan, out at wg0 inside another packet; translated from 10.0.2.2:40000 -> 10.0.2.1:80 to 10.0.1.1:40000 -> 203.0.113.9:80, as its connection is; rules may have met it that are not told: why": {
			Role: Answer, Way: 2, Node: "fw", In: "lan", Out: "wg0", Came: led, Left: asked, Tunnel: true, Gap: true, Untold: "why",
		},
		"request at fw: in at lan, out at dmz, bridged":                 {Role: Request, Way: 1, Node: "fw", In: "lan", Out: "dmz", Bridged: true},
		"request at fw: in at lan, out at dmz, perhaps a mirror's copy": {Role: Request, Way: 1, Node: "fw", In: "lan", Out: "dmz", Mirrored: true},
		"request at server: in at dmz, delivered":                       {Role: Request, Way: 1, Node: "server", In: "dmz", Fate: Delivered, Detail: "delivered"},
		"request at fw: in at lan, dropped; dropped by policy drop of ip nat out": {
			Role: Request, Way: 1, Node: "fw", In: "lan", Fate: Dropped, Detail: "dropped",
			Rules: []Passed{{Rule: &Rule{Family: "ip", Table: "nat", Chain: "out"}, Effects: []Effect{Drops}}},
		},
	} {
		if got := h.String(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestHopsByWay(t *testing.T) {
	t.Parallel()
	hops := Hops{
		{Role: Request, Way: 1, Node: "pc"}, {Role: Request, Way: 1, Node: "site"},
		{Role: Request, Way: 2, Node: "pc"}, {Role: Request, Way: 2, Node: "fw"}, {Role: Answer, Way: 1, Node: "site"},
	}
	ways := hops.Ways(Request)
	if len(ways) != 2 || len(ways[0]) != 2 || len(ways[1]) != 2 || ways[1][1].Node != "fw" || len(hops.Ways(Answer)) != 1 || hops.Ways(Refusal) != nil {
		t.Errorf("%v", ways)
	}
	if lines := strings.Count(hops.String(), "\n"); lines != len(hops) {
		t.Errorf("%d lines: %s", lines, hops)
	}
}
