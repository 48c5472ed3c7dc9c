package verdict

import (
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// access and trunk are ports of a switch that keeps VLANs apart.
func access(id int) inspect.BridgePort {
	return inspect.BridgePort{VLANs: &inspect.BridgeVLANs{PVID: id, Untagged: []int{id}}}
}

func trunk(ids ...int) inspect.BridgePort {
	return inspect.BridgePort{VLANs: &inspect.BridgeVLANs{Tagged: ids}}
}

// tags has a node's interface to the link be a VLAN on another.
func (s *scene) tags(node string, id int) {
	lan := s.on(node, "lan")
	lan.Kind, lan.VLAN, lan.Peer, lan.PeerNamespace = "vlan", id, 9, -1
	state := s.States[node]
	state.Links = append(state.Links, inspect.Link{Index: 9, Name: "trunk", Kind: "veth", Up: true, Carrier: true, MTU: 1500})
}

func TestVLANsOfASwitch(t *testing.T) {
	t.Parallel()
	sent := func(s *scene) { s.arrived("client") }
	asks := func(s *scene) { s.asks("client", fwLan4) }
	clientTrunk, fwTrunk := End{"client", "trunk"}, End{"fw", "trunk"}
	for name, c := range map[string]struct {
		happen func(*scene)
		tags   map[string]int
		ports  map[End]inspect.BridgePort
		kind   evidence.Kind
		at     string
		text   string
		vlan   int
		tagged bool
	}{
		"one VLAN": {sent, nil, map[End]inspect.BridgePort{clientEnd: access(100), fwEnd: access(100)}, evidence.Unknown, "", "", 0, false},
		"two":      {sent, nil, map[End]inspect.BridgePort{clientEnd: access(100), fwEnd: access(200)}, evidence.PortVLAN, "client", "port client is in VLAN 100, port fw is in VLAN 200", 200, false},
		"two, and nothing was sent": {asks, nil, map[End]inspect.BridgePort{clientEnd: access(100), fwEnd: access(200)},
			evidence.PortVLAN, "client", "port client is in VLAN 100, port fw is in VLAN 200", 200, false},
		"one, and nothing was sent": {asks, nil, map[End]inspect.BridgePort{clientEnd: access(100), fwEnd: access(100)}, evidence.Neighbour, "client", "", 0, false},
		"a third's":                 {sent, nil, map[End]inspect.BridgePort{clientEnd: access(100), fwEnd: access(100), spareEnd: access(200)}, evidence.Unknown, "", "", 0, false},
		"none without a tag":        {sent, nil, map[End]inspect.BridgePort{clientEnd: trunk(100), fwEnd: access(100)}, evidence.PortVLAN, "client", "port client takes nothing without a tag, port fw is in VLAN 100", 100, false},
		"nobody known takes it":     {sent, nil, map[End]inspect.BridgePort{clientEnd: trunk(100)}, evidence.PortVLAN, "client", "port client takes nothing without a tag", 0, false},
		"out with a tag":            {sent, nil, map[End]inspect.BridgePort{clientEnd: access(100), fwEnd: trunk(100)}, evidence.PortVLAN, "fw", "port client is in VLAN 100, port fw takes nothing without a tag", 100, false},
		"a tag": {sent, map[string]int{"client": 100}, map[End]inspect.BridgePort{clientTrunk: trunk(100, 200), fwEnd: access(100)},
			evidence.Unknown, "", "", 0, false},
		"a tag for another": {sent, map[string]int{"client": 100}, map[End]inspect.BridgePort{clientTrunk: trunk(100, 200), fwEnd: access(200)},
			evidence.PortVLAN, "fw", "port client carries VLAN 100 with a tag, port fw is in VLAN 200", 100, false},
		"a tag that the port does not carry": {sent, map[string]int{"client": 100}, map[End]inspect.BridgePort{clientTrunk: trunk(200), fwEnd: access(100)},
			evidence.PortVLAN, "client", "port client does not carry VLAN 100, whose tag client gives, port fw is in VLAN 100", 100, true},
		"a tag that the other does not carry": {sent, map[string]int{"client": 100, "fw": 100}, map[End]inspect.BridgePort{clientTrunk: trunk(100), fwTrunk: trunk(200)},
			evidence.PortVLAN, "fw", "port client carries VLAN 100 with a tag, port fw does not carry VLAN 100, whose tag fw gives", 100, true},
		"a tag of both": {sent, map[string]int{"client": 100, "fw": 100}, map[End]inspect.BridgePort{clientTrunk: trunk(100), fwTrunk: trunk(100)}, evidence.Unknown, "", "", 0, false},
		"a tag in vain": {sent, map[string]int{"fw": 100}, map[End]inspect.BridgePort{clientEnd: access(100), fwTrunk: access(100)},
			evidence.PortVLAN, "fw", "port client is in VLAN 100, port fw is in VLAN 100 without a tag, which fw gives", 100, true},
		"a tag, and nothing was sent": {asks, map[string]int{"fw": 100}, map[End]inspect.BridgePort{clientEnd: access(7), fwTrunk: trunk(100)},
			evidence.PortVLAN, "client", "port client is in VLAN 7, port fw carries VLAN 100 with a tag", 100, false},
		"none apart": {sent, nil, map[End]inspect.BridgePort{clientEnd: {}, fwEnd: {}}, evidence.Unknown, "", "", 0, false},
	} {
		s := newScene(wire.UDP, false)
		on := s.withSwitch()
		for node, id := range c.tags {
			s.tags(node, id)
		}
		c.happen(s)
		on.Ports = c.ports
		clear(on.Entries)
		got := Explain(s.Observation)
		if got.Kind != c.kind || c.at != "" && got.Node != c.at || got.VLAN != c.vlan || got.Tagged != c.tagged || got.Policy != (c.kind == evidence.PortVLAN) {
			t.Errorf("%s: %+v", name, got)
		}
		if want := "the VLAN filter of switch lan: " + c.text; c.text != "" && (got.Detail != want || got.Switch != "lan") {
			t.Errorf("%s: %q at %s, not %q", name, got.Detail, got.Switch, want)
		}
		if got.Kind != evidence.PortVLAN {
			continue
		}
		want := JoinVLAN{got.Interface, c.vlan, c.tagged, true}
		if deed, err := LiftOf(got); err != nil || deed != want || on.Ports[End{got.Node, got.Interface}].VLANs == nil {
			t.Errorf("%s: it is lifted by %+v %v", name, deed, err)
		}
	}
}

// Below a VLAN is what its switch is asked about.
func TestOtherCausesBelowAVLAN(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		chosen func(s *scene, on *Switch)
		kind   evidence.Kind
	}{
		"isolated": {func(s *scene, on *Switch) {
			on.Ports = map[End]inspect.BridgePort{{"client", "trunk"}: {Isolated: true}, {"fw", "trunk"}: {Isolated: true}}
		}, evidence.PortIsolated},
		"locked": {func(_ *scene, on *Switch) {
			on.Ports = map[End]inspect.BridgePort{{"client", "trunk"}: {Locked: true}, {"fw", "trunk"}: {}}
			delete(on.Entries, clientMAC)
		}, evidence.PortLocked},
		"locked, with an entry": {func(_ *scene, on *Switch) {
			on.Ports = map[End]inspect.BridgePort{{"client", "trunk"}: {Locked: true}, {"fw", "trunk"}: {}}
			on.Entries = map[string]End{clientMAC: {"client", "trunk"}}
		}, evidence.Unknown},
		"known behind the port below": {func(_ *scene, on *Switch) {
			on.Ports = map[End]inspect.BridgePort{{"client", "trunk"}: {}, {"fw", "trunk"}: {NoFlood: true}}
			on.Entries = map[string]End{clientMAC: {"client", "trunk"}, fwMAC: {"fw", "trunk"}}
		}, evidence.Unknown},
		"not flooded": {func(_ *scene, on *Switch) {
			on.Ports = map[End]inspect.BridgePort{{"client", "trunk"}: {}, {"fw", "trunk"}: {NoFlood: true, NoLearning: true}}
			clear(on.Entries)
		}, evidence.NotFlooded},
	} {
		s := newScene(wire.UDP, false)
		on := s.withSwitch()
		s.tags("client", 100)
		s.tags("fw", 100)
		s.arrived("client")
		c.chosen(s, on)
		if got := Explain(s.Observation); got.Kind != c.kind {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A node's own bridge keeps VLANs apart as well.
func TestVLANsOfANodesBridge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happen func(*scene)
		lan    inspect.BridgePort
		dmz    inspect.BridgePort
		kind   evidence.Kind
		text   string
		vlan   int
	}{
		"one": {func(s *scene) { s.arrived("fw") }, access(7), access(7), evidence.Unknown, "", 0},
		"two": {func(s *scene) { s.arrived("fw") }, access(7), access(8), evidence.PortVLAN, "the VLAN filter of br: port lan is in VLAN 7, and port dmz in VLAN 8", 8},
		"two, and nothing was sent": {func(s *scene) { s.asks("client", s.Flow.Addr) }, access(7), access(8),
			evidence.PortVLAN, "the VLAN filter of br: port lan is in VLAN 7, and port dmz in VLAN 8", 8},
		"one, and nothing was sent": {func(s *scene) { s.asks("client", s.Flow.Addr) }, access(7), access(7), evidence.Neighbour, "", 0},
		"none without a tag":        {func(s *scene) { s.arrived("fw") }, trunk(7), access(8), evidence.PortVLAN, "the VLAN filter of br: port lan takes nothing without a tag", 8},
		"nobody knows where to":     {func(s *scene) { s.arrived("fw").Destination = away }, access(7), access(8), evidence.Unknown, "", 0},
		"two, and by another port the same": {func(s *scene) {
			s.arrived("fw")
			s.link(End{"fw", "spare"}, End{"server", "dmz"})
			s.States["fw"].Links = append(s.States["fw"].Links, inspect.Link{Index: 5, Name: "spare", Master: 4, Up: true, Carrier: true, BridgePort: access(7)})
		}, access(7), access(8), evidence.Unknown, "", 0},
		"perhaps with a tag": {func(s *scene) {
			s.arrived("fw")
			state := s.States["client"]
			state.Links = append(state.Links, inspect.Link{Index: 8, Name: "red", Kind: "vlan", VLAN: 7, Peer: s.on("client", "lan").Index})
		}, access(7), access(8), evidence.Unknown, "", 0},
	} {
		s := newScene(wire.UDP, false)
		s.bridged()
		s.on("fw", "lan").BridgePort, s.on("fw", "dmz").BridgePort = c.lan, c.dmz
		c.happen(s)
		got := Explain(s.Observation)
		if got.Kind != c.kind || c.text != "" && got.Detail != c.text || got.VLAN != c.vlan || got.Switch != "" || c.kind == evidence.PortVLAN && (got.Node != "fw" || got.Interface != "lan") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if deed, err := LiftOf(evidence.Cause{Kind: evidence.PortVLAN, Policy: true, Interface: "lan", VLAN: 8}); err != nil || deed != (JoinVLAN{"lan", 8, false, false}) {
		t.Error(deed, err)
	}
}

// VLANs of an Open vSwitch count where it was seen to hand on as a switch does, and nothing else
// may pass.
func TestVLANsOfAnOpenVSwitch(t *testing.T) {
	t.Parallel()
	normal := Flowed{At: clientEnd, Leg: evidence.Request, Switch: "lan", Normal: true}
	changed := func(change func(*Flowed)) Flowed {
		f := normal
		change(&f)
		return f
	}
	for what, c := range map[string]struct {
		flowed Flowed
		asks   bool
		kind   evidence.Kind
	}{
		"as a switch does":     {normal, false, evidence.PortVLAN},
		"not seen":             {Flowed{}, false, evidence.Unknown},
		"another passes":       {changed(func(f *Flowed) { f.Doubt = "another passes" }), false, evidence.Unknown},
		"the answer":           {changed(func(f *Flowed) { f.Leg = evidence.Answer }), false, evidence.Unknown},
		"elsewhere":            {changed(func(f *Flowed) { f.At = spareEnd }), false, evidence.Unknown},
		"nothing was sent yet": {Flowed{}, true, evidence.Neighbour},
	} {
		s := newScene(wire.UDP, false)
		on := s.withSwitch()
		on.Flows, on.Ports = true, map[End]inspect.BridgePort{clientEnd: access(100), fwEnd: access(200)}
		clear(on.Entries)
		if c.asks {
			s.asks("client", fwLan4)
		} else {
			s.arrived("client")
		}
		s.Heard.Flowed = c.flowed
		if got := Explain(s.Observation); got.Kind != c.kind || got.Policy != (c.kind == evidence.PortVLAN) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
