package probes

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// switchFlow is a flow of an Open vSwitch that a probe may meet.
type switchFlow struct {
	harness.OVSFlow
	of string // the switch
}

func (f switchFlow) String() string { return fmt.Sprintf("flow %q of switch %s", f.OVSFlow, f.of) }

// flowsAt are the flows of the Open vSwitches on which nodes are, and of those patched to them.
func flowsAt(lab *harness.Lab, nodes []*harness.Node) (all []switchFlow, err error) {
	for _, o := range lab.OpenVSwitches() {
		joined := o.Patched()
		is := func(node *harness.Node) bool {
			return slices.ContainsFunc(joined, func(o *harness.OpenVSwitch) bool {
				return slices.ContainsFunc(o.Ports(), func(ref topo.PortRef) bool { return ref.Node == node.Name() })
			})
		}
		if !slices.ContainsFunc(nodes, is) {
			continue
		}
		flows, err := o.Flows()
		if err != nil {
			return nil, err
		}
		for _, f := range flows {
			all = append(all, switchFlow{f, o.Name()})
		}
	}
	return all, nil
}

// flowProtocols are what the words of ovs-fields(7) stand for.
var flowProtocols = map[string]rules.Port{
	"tcp": {Family: 4, Protocol: protoTCP}, "tcp6": {Family: 6, Protocol: protoTCP}, "udp": {Family: 4, Protocol: protoUDP}, "udp6": {Family: 6, Protocol: protoUDP},
	"sctp": {Family: 4, Protocol: unix.IPPROTO_SCTP}, "sctp6": {Family: 6, Protocol: unix.IPPROTO_SCTP}, "ip": {Family: 4}, "ipv6": {Family: 6},
}

// named are the ports and protocols that it names; of a mask the edges, and those beside it.
func (f switchFlow) named() (named []rules.Port) {
	about := rules.Port{Rule: f}
	values := map[string]string{}
	for _, word := range strings.Split(f.Match, ",") {
		name, value, _ := strings.Cut(word, "=")
		values[name] = value
		if p, is := flowProtocols[name]; is {
			about.Family, about.Protocol = p.Family, p.Protocol
		}
	}
	if number, err := strconv.ParseUint(values["nw_proto"], 0, 8); err == nil {
		about.Protocol = uint8(number)
	}
	if about.Protocol == 0 {
		return nil
	}
	for _, field := range []string{"tp_dst", "tp_src"} {
		if span, has := masked(values[field]); has {
			named = append(named, edgesOf(about, span, field == "tp_src")...)
		}
	}
	return append(named, about)
}

// masked are the ports from the first to the last that a value and its mask let in: "80",
// "0x50/0xfff0".
func masked(text string) (span inspect.Range, is bool) {
	number, mask, has := strings.Cut(text, "/")
	if !has {
		mask = "0xffff"
	}
	value, err := strconv.ParseUint(number, 0, 16)
	bits, err2 := strconv.ParseUint(mask, 0, 16)
	if err != nil || err2 != nil {
		return span, false
	}
	return inspect.Range{First: uint32(value), Last: uint32(value) | ^uint32(bits)&lastPort}, true
}

// lastPort is the greatest of TCP's and UDP's.
const lastPort = 0xffff

// What a flow does to whom a packet is for (ovs-actions(7)). The first part of each is a value that
// it gives; where that is "" it may be any.
var (
	givesPort = regexp.MustCompile(`mod_tp_dst:(\d+)|set_field:(\w+)->(?:tcp|udp|sctp)_dst|load:(\w+)->NXM_OF_(?:TCP|UDP)_DST\[\]|move:[^,]*->NXM_OF_(?:TCP|UDP)_DST|nat\(dst=[^,)]*`)
	givesAddr = regexp.MustCompile(`mod_nw_dst|->ip_dst|->ipv6_dst|->nw_dst|->NXM_OF_IP_DST|->NXM_NX_IPV6_DST|nat\(dst=`)
)

// makes says whether it may give packets a destination port.
func (f switchFlow) makes(port uint16) bool {
	for _, m := range givesPort.FindAllStringSubmatch(f.Actions, -1) {
		given := strings.Join(m[1:], "")
		if number, err := strconv.ParseUint(given, 0, 16); err != nil || uint16(number) == port {
			return true
		}
	}
	return false
}

// otherPortsByFlows are the ports of which flows may make a probe's: those that such a flow
// names, or where it names none, all that flows name.
func otherPortsByFlows(flows []switchFlow, p Probe) (ports []uint16) {
	add := func(named []rules.Port) (any bool) {
		for _, n := range named {
			if n.Protocol != protocolOf(p) || n.Number == 0 || n.Source {
				continue
			}
			if any = true; n.Number != p.port && !slices.Contains(ports, n.Number) {
				ports = append(ports, n.Number)
			}
		}
		return any
	}
	for _, f := range flows {
		if !f.makes(p.port) || add(f.named()) {
			continue
		}
		for _, other := range flows {
			add(other.named())
		}
	}
	return ports
}

// addrsByFlows are the addresses that flows name where they send packets for them to
// somebody else's.
func addrsByFlows(flows []switchFlow) (addrs []netip.Addr) {
	for _, f := range flows {
		if !givesAddr.MatchString(f.Actions) {
			continue
		}
		for _, word := range strings.Split(f.Match, ",") {
			name, value, _ := strings.Cut(word, "=")
			if name != "nw_dst" && name != "ipv6_dst" {
				continue
			}
			if addr, err := netip.ParseAddr(value); err == nil {
				addrs = append(addrs, addr)
			} else if prefix, err := netip.ParsePrefix(value); err == nil {
				addrs = append(addrs, prefix.Addr().Next())
			}
		}
	}
	return addrs
}
