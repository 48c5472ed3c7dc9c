package verdict

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// scene is the office, client - fw - server, as Explain sees it: a healthy network
// in which nothing was seen yet. Its links have the indexes 2 and 3.
type scene struct {
	Observation
	clock time.Duration // since dawn
}

var (
	fwLan4, fwDmz4 = netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("10.0.2.2")
	fwLan6, fwDmz6 = netip.MustParseAddr("fd00:1::2"), netip.MustParseAddr("fd00:2::2")
)

const sceneLength = 52 // of a packet, in bytes

// newScene is of a probe of a protocol from the client to the server's port 53.
func newScene(protocol wire.Protocol, v6 bool) *scene {
	s := &scene{Observation: Observation{
		Flow: wire.Flow{From: "client", To: "server", Addr: server4, Protocol: protocol, Port: 53}, States: map[string]*inspect.State{},
		Ports: map[string][]PortState{}, Peers: map[End][]End{},
	}}
	if protocol == wire.ICMP {
		s.Flow.Port = 0
	}
	addrs := [4]netip.Addr{client4, fwLan4, fwDmz4, server4}
	if v6 {
		s.Flow.Addr = server6
		addrs = [4]netip.Addr{client6, fwLan6, fwDmz6, server6}
	}
	lan, dmz := netip.PrefixFrom(addrs[0], 24).Masked(), netip.PrefixFrom(addrs[3], 24).Masked()
	if v6 {
		lan, dmz = netip.PrefixFrom(addrs[0], 64).Masked(), netip.PrefixFrom(addrs[3], 64).Masked()
	}
	s.node("client", port{"lan", addrs[0], lan, []netip.Prefix{dmz}})
	s.node("fw", port{"lan", addrs[1], lan, nil}, port{"dmz", addrs[2], dmz, nil})
	s.node("server", port{"dmz", addrs[3], dmz, []netip.Prefix{lan}})
	s.link(End{"client", "lan"}, End{"fw", "lan"})
	s.link(End{"server", "dmz"}, End{"fw", "dmz"})
	s.answers("client", addrs[3], inspect.Lookup{Type: 1, Via: addrs[1], Out: 2})
	s.answers("fw", addrs[3], inspect.Lookup{Type: 1, Out: 3})
	s.answers("fw", addrs[0], inspect.Lookup{Type: 1, Out: 2})
	s.answers("server", addrs[0], inspect.Lookup{Type: 1, Via: addrs[2], Out: 2})
	return s
}

type port struct {
	name   string
	addr   netip.Addr
	on     netip.Prefix
	routes []netip.Prefix
}

func (s *scene) node(name string, ports ...port) {
	state := &inspect.State{
		Name: name, Lookups: map[inspect.Question]inspect.Lookup{}, Listeners: []inspect.Listener{{Addr: everywhere, Port: 53, Most: 128}}, UDP: []inspect.Listener{{Addr: everywhere, Port: 53}},
		Links: []inspect.Link{{Index: 1, Name: "lo", Kind: "device", Up: true, Carrier: true, MTU: 65536}},
		Sysctls: map[string]string{
			"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1", "net/ipv4/conf/all/rp_filter": "0",
			"net/ipv4/icmp_echo_ignore_all": "0", "net/ipv6/icmp/echo_ignore_all": "0",
		},
	}
	for i, p := range ports {
		prefix := netip.PrefixFrom(p.addr, p.on.Bits())
		state.Links = append(state.Links, inspect.Link{Index: i + 2, Name: p.name, Kind: "veth", Up: true, Carrier: true, MTU: 1500})
		state.Addrs = append(state.Addrs, inspect.Addr{Index: i + 2, Prefix: prefix})
		state.Sysctls["net/ipv4/conf/"+p.name+"/rp_filter"] = "0"
		state.Sysctls["net/ipv4/conf/"+p.name+"/forwarding"] = "1"
		state.Sysctls["net/ipv6/conf/"+p.name+"/forwarding"] = "1"
		s.Ports[name] = append(s.Ports[name], PortState{End: End{name, p.name}, Addrs: []netip.Prefix{prefix}, Routes: p.routes})
	}
	s.States[name] = state
}

func (s *scene) link(a, b End) {
	s.Peers[a], s.Peers[b] = append(s.Peers[a], b), append(s.Peers[b], a)
}

// answers is what a node's kernel says about the way to an address, whoever asks.
func (s *scene) answers(node string, to netip.Addr, l inspect.Lookup) {
	lookups := s.States[node].Lookups
	lookups[inspect.Question{To: to}] = l
	first := FirstQuestion(s.Flow)
	first.To = to
	lookups[first] = l
	for _, from := range []netip.Addr{client4, server4, client6, server6, fwLan4} {
		for in := range len(s.States[node].Links) + 1 { // 0 is what the node sends itself
			for _, role := range []evidence.Role{evidence.Request, evidence.Answer} {
				if from == to {
					continue
				}
				seen := s.packet(role)
				seen.Source, seen.Destination, seen.Index = from, to, in
				lookups[onward(s.Flow, seen)] = l
			}
		}
	}
}

// sourcePort is the asker's.
const sourcePort = 40000

// packet is what one of a role looks like anywhere.
func (s *scene) packet(role evidence.Role) evidence.Sighting {
	seen := evidence.Sighting{
		Role: role, Length: sceneLength, TTL: 64, Protocol: FirstQuestion(s.Flow).Protocol,
		Source: s.States["client"].Addrs[0].Prefix.Addr(), Destination: s.Flow.Addr,
	}
	if s.Flow.Protocol != wire.ICMP {
		seen.SourcePort, seen.DestinationPort = sourcePort, s.Flow.Port
	}
	if role != evidence.Request {
		seen.Source, seen.Destination = seen.Destination, seen.Source
		seen.SourcePort, seen.DestinationPort = seen.DestinationPort, seen.SourcePort
	}
	return seen
}

// on is a node's link, to be changed.
func (s *scene) on(node, name string) *inspect.Link {
	links := s.States[node].Links
	return &links[slices.IndexFunc(links, func(l inspect.Link) bool { return l.Name == name })]
}

// own is a node's first address, to be changed.
func (s *scene) own(node string) *inspect.Addr { return &s.States[node].Addrs[0] }

// see adds sightings of a role, one after another: "fw/lan in".
func (s *scene) see(role evidence.Role, places ...string) *evidence.Sighting {
	for _, place := range places {
		where, way, _ := strings.Cut(place, " ")
		node, name, _ := strings.Cut(where, "/")
		seen := s.packet(role)
		seen.At, seen.Node, seen.Interface = dawn.Add(s.clock), node, name
		seen.Direction = map[string]evidence.Direction{"in": evidence.In, "out": evidence.Out}[way]
		if state := s.States[node]; state != nil && name != "" {
			seen.Index = s.on(node, name).Index
		}
		s.Timeline = append(s.Timeline, seen)
		s.clock += time.Microsecond
	}
	return &s.Timeline[len(s.Timeline)-1]
}

// asked is how far a request may come, place by place.
var asked = []string{"client/lan out", "fw/lan in", "fw/dmz out", "server/dmz in"}

// answered is the way back.
var answered = []string{"server/dmz out", "fw/dmz in", "fw/lan out", "client/lan in"}

// arrived is a request that came as far as the node, and was not seen to leave it.
func (s *scene) arrived(node string) *evidence.Sighting {
	return s.see(evidence.Request, asked[:map[string]int{"client": 1, "fw": 2, "server": 4}[node]]...)
}

// came is an answer that came as far as the node.
func (s *scene) came(node string) *evidence.Sighting {
	s.arrived("server")
	return s.see(evidence.Answer, answered[:map[string]int{"server": 1, "fw": 2, "client": 4}[node]]...)
}

// again is the time after which a connection's request is repeated.
func (s *scene) again() { s.clock += time.Second }

// forget is a node whose state nobody read.
func (s *scene) forget(nodes ...string) {
	s.States = maps.Clone(s.States)
	for _, node := range nodes {
		delete(s.States, node)
	}
}
