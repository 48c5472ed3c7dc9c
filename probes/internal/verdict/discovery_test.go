package verdict

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// discovered are packets of neighbour discovery, fw's for the server: "server drops
// request", "client/... " is none of it.
func discovered(what ...string) (all []Discovered) {
	rule := &evidence.Rule{Family: "arp", Table: "f", Chain: "c", Handle: 7, Text: "drop"}
	for i, text := range what {
		words := strings.Fields(text)
		d := Discovered{At: dawn.Add(time.Duration(i) * time.Millisecond), Node: words[0], Advertises: words[2] == "reply", Target: server4, Asker: fwDmz4}
		switch words[1] {
		case "drops":
			d.Rule = rule
		case "gets":
			d.Direction = evidence.In
		case "sends":
			d.Direction = evidence.Out
		}
		if len(words) > 3 && words[3] == "another's" {
			d.Asker = netip.MustParseAddr("10.0.2.77")
		}
		if len(words) > 3 && words[3] == "elsewhere" {
			d.Target = netip.MustParseAddr("10.0.2.77")
		}
		all = append(all, d)
	}
	return all
}

// What ended the last question, or its answer, on their way is named, and no other drop.
func TestADropOfNeighbourDiscovery(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seen    []string
		bridged bool // another stands between fw and the server
		node    string
		packet  string
	}{
		"nothing was seen":            {},
		"at who asks":                 {[]string{"fw drops request"}, false, "fw", "ARP request"},
		"at who has it":               {[]string{"fw sends request", "server gets request", "server drops request"}, false, "server", "ARP request"},
		"the answer, at who has it":   {[]string{"fw sends request", "server gets request", "server drops reply"}, false, "server", "ARP reply"},
		"the answer, at who asks":     {[]string{"fw sends request", "server sends reply", "fw gets reply", "fw drops reply"}, false, "fw", "ARP reply"},
		"a bystander's copy":          {[]string{"fw sends request", "third gets request", "third drops request", "server gets request"}, false, "", ""},
		"before it was asked again":   {[]string{"fw sends request", "server drops request", "fw sends request", "server gets request"}, false, "", ""},
		"again":                       {[]string{"fw sends request", "server drops request", "fw sends request", "server drops request"}, false, "server", "ARP request"},
		"another's question":          {[]string{"fw sends request", "server drops request another's"}, false, "", ""},
		"a question for another":      {[]string{"fw sends request", "server drops request elsewhere"}, false, "", ""},
		"on the way":                  {[]string{"fw sends request", "third drops request"}, true, "third", "ARP request"},
		"on the way back":             {[]string{"fw sends request", "server gets request", "third drops reply"}, true, "third", "ARP reply"},
		"a copy, beside the way":      {[]string{"fw sends request", "third drops request", "server gets request"}, true, "", ""},
		"a copy, beside the way back": {[]string{"fw sends request", "server gets request", "third drops reply", "fw gets reply"}, true, "", ""},
	} {
		s := newScene(wire.UDP, false)
		s.arrived("fw")
		s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server4, State: unix.NUD_INCOMPLETE}}
		if c.bridged {
			s.between()
		}
		before := Explain(s.Observation)
		if before.Kind != evidence.Neighbour || before.Node != "fw" {
			t.Fatalf("%s: the control: %s", name, before)
		}
		s.Discoveries = discovered(c.seen...)
		got := Explain(s.Observation)
		if c.node == "" {
			if got != before {
				t.Errorf("%s: %s", name, got)
			}
			continue
		}
		want := evidence.Discovery{Packet: c.packet, For: server4, Node: "fw", Interface: "dmz"}
		if got.Discovery == nil || *got.Discovery != want || got.Word() != "neighbour:drop@"+c.node || got.Rule == nil || got.Policy || !got.Passing || got.Leg != before.Leg {
			t.Errorf("%s: %s: %+v", name, got, got)
		}
		if text := got.String(); !strings.HasPrefix(text, "the request was not sent on at fw/dmz: server has 10.0.2.1, and ") ||
			!strings.HasSuffix(text, c.packet+" was dropped at "+c.node+` by rule "drop" of arp f c`) &&
				!strings.HasSuffix(text, c.packet+" for it was dropped at "+c.node+` by rule "drop" of arp f c`) {
			t.Errorf("%s: %s", name, text)
		}
		if deed, err := LiftOf(got); err != nil || deed != (DeleteRule{got.Rule}) {
			t.Errorf("%s: lifted by %v, %v", name, deed, err)
		}
	}
}

// between puts a node that bridges between fw and the server.
func (s *scene) between() {
	s.Peers = map[End][]End{{"client", "lan"}: {{"fw", "lan"}}, {"fw", "lan"}: {{"client", "lan"}}}
	s.node("third", port{"near", netip.MustParseAddr("10.9.0.1"), netip.MustParsePrefix("10.9.0.0/24"), nil}, port{"far", netip.MustParseAddr("10.9.1.1"), netip.MustParsePrefix("10.9.1.0/24"), nil})
	third := s.States["third"]
	third.Addrs = nil
	third.Links = append(third.Links, inspect.Link{Index: 9, Name: "bridge", Kind: "bridge", Up: true, Carrier: true, MTU: 1500})
	s.on("third", "near").Master, s.on("third", "far").Master = 9, 9
	s.link(End{"fw", "dmz"}, End{"third", "near"})
	s.link(End{"server", "dmz"}, End{"third", "far"})
}

// One that was given up, or had answered since, is told alike, and so is the answer's.
func TestADropOfNeighbourDiscoveryThatWasGivenUp(t *testing.T) {
	t.Parallel()
	for _, state := range []int{unix.NUD_FAILED, unix.NUD_REACHABLE, unix.NUD_STALE} {
		s := newScene(wire.UDP, false)
		s.arrived("fw")
		if state == unix.NUD_FAILED {
			s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server4, State: unix.NUD_FAILED}}
		} else {
			s.gaveUp(evidence.Refusal, "fw/lan out", 3, server4, state)
		}
		s.Discoveries = discovered("fw sends request", "server drops reply")
		if c := Explain(s.Observation); c.Discovery == nil || c.Passing || c.Leg != evidence.Request || c.Node != "server" {
			t.Errorf("%#x: %s", state, c)
		}
	}
	s := newScene(wire.UDP, false)
	s.came("fw")
	s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 2, Addr: client4, State: unix.NUD_INCOMPLETE}}
	s.Discoveries = discovered("fw sends request", "client drops request")
	for i := range s.Discoveries {
		s.Discoveries[i].Target, s.Discoveries[i].Asker = client4, fwLan4
	}
	c := Explain(s.Observation)
	want := `the request arrived; the answer was not sent on at fw/lan: client has 10.0.1.1, and the ARP request for it was dropped at client by rule "drop" of arp f c`
	if c.String() != want || c.Leg != evidence.Answer {
		t.Errorf("%s", c)
	}
}

// A trace has no more of the address than twelve bytes and the last three.
func TestADiscoveryThatWasCut(t *testing.T) {
	t.Parallel()
	whole, cut := netip.MustParseAddr("fe80::34be:6ff:fe31:2738"), netip.MustParseAddr("fe80::34be:6ff:0031:2738")
	other := netip.MustParseAddr("fe80::34be:6ff:fe31:2739")
	got := []bool{
		Discovered{Target: cut, Cut: true}.About(whole), Discovered{Target: cut}.About(whole), Discovered{Target: cut, Cut: true}.About(other),
		Discovered{Target: whole}.About(whole), Discovered{Target: cut, Cut: true}.About(server4),
	}
	if want := []bool{true, false, false, true, false}; !slices.Equal(got, want) {
		t.Error(got)
	}
}
