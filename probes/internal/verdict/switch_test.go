package verdict

import (
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

const (
	clientMAC, fwMAC, spareMAC = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
	lanSwitch                  = "its port of switch lan "
)

var clientEnd, fwEnd, spareEnd = End{"client", "lan"}, End{"fw", "lan"}, End{"spare", "lan"}

// withSwitch makes the link between the client and the router a switch, to which a third host is
// attached, and which knows where all are.
func (s *scene) withSwitch() *Switch {
	s.node("spare", port{"lan", away, s.Ports["client"][0].Addrs[0].Masked(), nil})
	s.link(clientEnd, spareEnd)
	s.link(fwEnd, spareEnd)
	s.on("client", "lan").MAC, s.on("fw", "lan").MAC, s.on("spare", "lan").MAC = clientMAC, fwMAC, spareMAC
	s.answers("client", s.Flow.Addr, inspect.Lookup{Type: 1, Via: fwLan4, Out: 2})
	s.States["client"].Lookups[inspect.Question{To: s.Flow.Addr}] = inspect.Lookup{Type: 1, Via: fwLan4, Out: 2}
	on := &Switch{
		Name: "lan", Ports: map[End]inspect.BridgePort{clientEnd: {}, fwEnd: {}, spareEnd: {}},
		Entries: map[string]End{clientMAC: clientEnd, fwMAC: fwEnd, spareMAC: spareEnd},
	}
	s.Switches = []*Switch{on}
	return on
}

// What a switch does at its ports, to a request that left the client, or that waits there
// for the router's MAC.
func TestSwitches(t *testing.T) {
	t.Parallel()
	sent := func(s *scene) { s.arrived("client") }
	asks := func(s *scene) { s.asks("client", fwLan4) }
	for name, c := range map[string]struct {
		happen          func(*scene)
		chosen          func(*Switch)
		kind            evidence.Kind
		policy, passing bool
		text            string
	}{
		"a plain one": {sent, func(*Switch) {}, evidence.Unknown, false, false, "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
		"two isolated ports": {sent, func(s *Switch) {
			s.Ports[clientEnd], s.Ports[fwEnd] = inspect.BridgePort{Isolated: true}, inspect.BridgePort{Isolated: true}
		},
			evidence.PortIsolated, true, false, "the request was not bridged at client/lan: " + lanSwitch + "is isolated, as is the one it was for"},
		"two isolated ports, and nothing was sent": {asks, func(s *Switch) {
			s.Ports[clientEnd], s.Ports[fwEnd] = inspect.BridgePort{Isolated: true}, inspect.BridgePort{Isolated: true}
		},
			evidence.PortIsolated, true, false, "the request was not bridged at client/lan: " + lanSwitch + "is isolated, as is the one it was for"},
		"an isolated port, and another that is none of the two": {sent, func(s *Switch) {
			s.Ports[clientEnd], s.Ports[spareEnd] = inspect.BridgePort{Isolated: true}, inspect.BridgePort{Isolated: true}
		},
			evidence.Unknown, false, false, ""},
		"the other's isolated port": {sent, func(s *Switch) { s.Ports[fwEnd] = inspect.BridgePort{Isolated: true} }, evidence.Unknown, false, false, ""},
		"a locked port without an entry": {sent, func(s *Switch) { s.Ports[clientEnd] = inspect.BridgePort{Locked: true}; delete(s.Entries, clientMAC) },
			evidence.PortLocked, true, false, "the request was not bridged at client/lan: " + lanSwitch + "is locked, and has no entry for MAC " + clientMAC},
		"a locked port without an entry, and nothing was sent": {asks, func(s *Switch) { s.Ports[clientEnd] = inspect.BridgePort{Locked: true}; delete(s.Entries, clientMAC) },
			evidence.PortLocked, true, false, ""},
		"a locked port, with the entry at another": {sent, func(s *Switch) { s.Ports[clientEnd], s.Entries[clientMAC] = inspect.BridgePort{Locked: true}, spareEnd },
			evidence.PortLocked, true, false, ""},
		"a locked port with an entry":   {sent, func(s *Switch) { s.Ports[clientEnd] = inspect.BridgePort{Locked: true} }, evidence.Unknown, false, false, ""},
		"the other's locked port":       {sent, func(s *Switch) { s.Ports[fwEnd] = inspect.BridgePort{Locked: true}; delete(s.Entries, fwMAC) }, evidence.Unknown, false, false, ""},
		"a locked port of who is asked": {asks, func(s *Switch) { s.Ports[fwEnd] = inspect.BridgePort{Locked: true}; delete(s.Entries, fwMAC) }, evidence.Neighbour, false, true, "the request was not sent on at client/lan: fw has 10.0.1.2, and has not answered for it yet; port fw of switch lan is locked, and keeps its answers"},
		"no entry, where it is flooded": {sent, func(s *Switch) { delete(s.Entries, fwMAC) }, evidence.Unknown, false, false, ""},
		"an entry, without flooding":    {sent, func(s *Switch) { s.Ports[fwEnd] = inspect.BridgePort{NoFlood: true, NoLearning: true} }, evidence.Unknown, false, false, ""},
		"no entry, nor will there be": {sent, func(s *Switch) {
			s.Ports[fwEnd] = inspect.BridgePort{NoFlood: true, NoLearning: true}
			delete(s.Entries, fwMAC)
		}, evidence.NotFlooded, true, false, "the request was not bridged at fw/lan: " + lanSwitch + "has flooding off, and the switch has no entry for MAC " + fwMAC + ", and learns none there"},
		"no entry yet":                  {sent, func(s *Switch) { s.Ports[fwEnd] = inspect.BridgePort{NoFlood: true}; delete(s.Entries, fwMAC) }, evidence.NotFlooded, false, true, ""},
		"no entry for who asks":         {asks, func(s *Switch) { s.Ports[clientEnd] = inspect.BridgePort{NoFlood: true}; delete(s.Entries, clientMAC) }, evidence.Neighbour, false, true, "the request was not sent on at client/lan: fw has 10.0.1.2, and has not answered for it yet; port client of switch lan has flooding off, and no entry for the MAC that answers go to"},
		"an entry that leads elsewhere": {sent, func(s *Switch) { s.Entries[fwMAC] = spareEnd }, evidence.WrongMAC, false, false, "the request was lost at fw/lan: switch lan has an entry by which the MAC is behind port spare"},
		"a locked port of a third": {sent, func(s *Switch) {
			s.Ports[spareEnd] = inspect.BridgePort{Locked: true, NoFlood: true, NoLearning: true}
			clear(s.Entries)
		}, evidence.Unknown, false, false, ""},
		"all of it at a port of nobody's": {sent, func(s *Switch) { s.Ports = map[End]inspect.BridgePort{spareEnd: {Isolated: true, Locked: true}} }, evidence.Unknown, false, false, ""},
	} {
		s := newScene(wire.UDP, false)
		on := s.withSwitch()
		c.happen(s)
		c.chosen(on)
		got := Explain(s.Observation)
		if got.Kind != c.kind || got.Policy != c.policy || got.Passing != c.passing || c.text != "" && got.String() != c.text {
			t.Errorf("%s: %v %v %q\nwant %v %v %q", name, got.Policy, got.Passing, got, c.policy, c.passing, c.text)
		}
		if (got.Switch == "lan") != (got.Kind == evidence.PortIsolated || got.Kind == evidence.PortLocked || got.Kind == evidence.NotFlooded) {
			t.Errorf("%s: at switch %q", name, got.Switch)
		}
	}
}

// Who bridges sends others' frames, whose MACs the switch may have or not.
func TestALockedPortOfWhoBridges(t *testing.T) {
	t.Parallel()
	s := newScene(wire.UDP, false)
	on := s.withSwitch()
	s.arrived("client")
	on.Ports[clientEnd] = inspect.BridgePort{Locked: true}
	clear(on.Entries)
	state := s.States["client"]
	state.Links = append(state.Links, inspect.Link{Index: 7, Name: "br", Kind: "bridge", Up: true, Carrier: true, MTU: 1500})
	s.on("client", "lan").Master = 7
	if got := Explain(s.Observation); got.Kind != evidence.Unknown {
		t.Error(got)
	}
}

// An address that a node has by now counts as one that it was to have.
func TestALiveAddressBehindAPort(t *testing.T) {
	t.Parallel()
	s := newScene(wire.UDP, false)
	on := s.withSwitch()
	s.Ports["fw"][0].Addrs = nil
	s.arrived("client")
	on.Ports[fwEnd] = inspect.BridgePort{NoFlood: true, NoLearning: true}
	delete(on.Entries, fwMAC)
	if got := Explain(s.Observation); got.Kind != evidence.NotFlooded {
		t.Error(got)
	}
	s.States["fw"].Addrs = nil
	if got := Explain(s.Observation); got.Kind != evidence.NoAddress {
		t.Error("without the address: ", got)
	}
}

func TestLiftsOfASwitch(t *testing.T) {
	t.Parallel()
	for kind, want := range map[evidence.Kind]Deed{
		evidence.PortIsolated: Unisolate{"lan", true}, evidence.PortLocked: Unlock{"lan"}, evidence.NotFlooded: Flood{"lan"},
	} {
		if deed, err := LiftOf(evidence.Cause{Kind: kind, Policy: true, Interface: "lan", Switch: "lan"}); err != nil || deed != want {
			t.Errorf("%s: %v %v", kind, deed, err)
		}
	}
}
