package policy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// ownTable is not the user's: coverage, bundles and rulesets that are read leave out such names.
const ownTable = "nstest-trace-policy"

// kernel sends packets through a node's rules, and hears by the trace what they do with them. The node is
// one of a twin.
type kernel struct {
	node   *harness.Node
	trace  *watch.Trace
	ports  map[int]*port // by the index of the node's interface
	raw    [2]int        // sockets of the node, for IPv4 and IPv6
	number uint32        // of the last packet
}

// port is where packets can be sent to an interface of the node.
type port struct {
	fd    int
	index int    // of the far end's
	mac   []byte // of the node's; nil where packets are sent without
	on    string // the node's interface
	peer  *harness.Node
}

// openKernel makes a node of a twin ready.
func openKernel(node *harness.Node, links []inspect.Link) (k *kernel, err error) {
	k = &kernel{node: node, ports: map[int]*port{}, raw: [2]int{-1, -1}}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if k.trace, err = watch.OpenTrace(node); err != nil {
		return k, fmt.Errorf("open trace: %w", err)
	}
	carriers := carriersOf(node, links)
	if err = node.Nftables(func(c *nftables.Conn) error { return ownRules(c, carriers) }); err != nil {
		return k, fmt.Errorf("make trace table: %w", err)
	}
	if err = node.Do(k.openRaw); err != nil {
		return k, fmt.Errorf("open raw socket: %w", err)
	}
	for _, l := range links {
		if err = k.openPort(l, links); err != nil {
			return k, err
		}
	}
	for _, other := range node.Lab().Nodes() {
		if other != node {
			if err = other.Nftables(func(c *nftables.Conn) error { return silence(c, carriers) }); err != nil {
				return k, fmt.Errorf("silence node %s: %w", other, err)
			}
		}
	}
	return k, nil
}

func (k *kernel) close() {
	if k.trace != nil {
		k.trace.Close()
	}
	for _, fd := range k.raw {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	for _, p := range k.ports {
		_ = unix.Close(p.fd)
	}
}

// openRaw opens the sockets for what the node itself sends, in its namespace.
func (k *kernel) openRaw() (err error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	if k.raw[0], err = unix.Socket(unix.AF_INET, kind, unix.IPPROTO_RAW); err != nil {
		return err
	}
	k.raw[1], err = unix.Socket(unix.AF_INET6, kind, unix.IPPROTO_RAW)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil
	}
	return err
}

// openPort finds who is at the other end of an interface, and opens a socket there: of a bridge or a VRF, at that of one of its ports.
func (k *kernel) openPort(l inspect.Link, links []inspect.Link) error {
	lab := k.node.Lab()
	cable, _ := lab.Cable(k.node.Name(), l.Name)
	mac := l.MAC
	for _, port := range links {
		if cable == "" && (l.Kind == "bridge" || l.Kind == "vrf") && port.Master == l.Index {
			cable, _ = lab.Cable(k.node.Name(), port.Name)
			if l.Kind == "vrf" {
				mac = port.MAC
			}
		}
	}
	if cable == "" {
		return nil
	}
	segment, _ := lab.Plan().Segment(cable)
	for _, ref := range segment.Ports {
		if ref.Node == k.node.Name() {
			continue
		}
		peer := lab.Node(ref.Node)
		p := &port{mac: hardware(mac), on: l.Name, peer: peer}
		err := peer.Do(func() error {
			device, err := net.InterfaceByName(ref.Port)
			if err != nil {
				return err
			}
			p.index = device.Index
			p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			return err
		})
		if err != nil {
			return fmt.Errorf("node %s: port %s: open packet socket: %w", ref.Node, ref.Port, err)
		}
		k.ports[l.Index] = p
		return nil
	}
	return nil
}

// takes are the sources that the node alone takes by interfaces which choose, in a family.
func (k *kernel) takes(v6 bool) map[int]set {
	made := map[int]set{}
	for index, p := range k.ports {
		if s := allowed(k.node, p.peer, p.on, v6); s != nil {
			made[index] = s
		}
	}
	return made
}

// hardware is an address of a link as packet sockets have it, as far as they need one: a tunnel's may be that of its end.
func hardware(text string) []byte {
	const most = 8
	mac, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(mac) > most {
		return nil
	}
	return mac
}

// enters are the interfaces by which packets come in that can be sent: of the ports of a VRF, it.
func (k *kernel) enters(links []inspect.Link) map[int]bool {
	made, vrfs := map[int]bool{}, map[int]bool{}
	for _, l := range links {
		vrfs[l.Index] = l.Kind == "vrf"
	}
	for _, l := range links {
		if k.ports[l.Index] != nil && !vrfs[l.Master] {
			made[l.Index] = true
		}
	}
	return made
}

// send sends a packet, under a number by which it is known again. That rules drop it is no error.
func (k *kernel) send(p *Packet, id uint32) error {
	data := p.build(id)
	v6 := p.Source.Addr().Is6()
	in := int(p.at[fieldIn].lo)
	if in == 0 || in == lo {
		return k.sendRaw(p, data, v6)
	}
	port := k.ports[in]
	if port == nil {
		return fmt.Errorf("nobody is at the interface %s", p.In)
	}
	to := &unix.SockaddrLinklayer{Protocol: wire.Network16(unix.ETH_P_IP), Ifindex: port.index, Halen: uint8(len(port.mac))}
	if v6 {
		to.Protocol = wire.Network16(unix.ETH_P_IPV6)
	}
	copy(to.Addr[:], port.mac)
	return unix.Sendto(port.fd, data, 0, to)
}

func (k *kernel) sendRaw(p *Packet, data []byte, v6 bool) error {
	var err error
	if v6 {
		err = unix.Sendto(k.raw[1], data, 0, &unix.SockaddrInet6{Addr: p.Destination.Addr().As16()})
	} else {
		err = unix.Sendto(k.raw[0], data, 0, &unix.SockaddrInet4{Addr: p.Destination.Addr().As4()})
	}
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// hooks are those of IP, in the kernel's order.
var hooks = []*nftables.ChainHook{
	nftables.ChainHookPrerouting, nftables.ChainHookInput, nftables.ChainHookForward, nftables.ChainHookOutput, nftables.ChainHookPostrouting,
}

// ownRules set the trace flag before all others, and tell what came past them. There what has an even number
// ends, so that it leaves nothing behind: no connection, no neighbour that is asked for, no answer.
func ownRules(c *nftables.Conn, carriers []carrier) error {
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: ownTable})
	for i, hook := range hooks {
		if known[i] == "prerouting" || known[i] == "output" {
			chain := c.AddChain(&nftables.Chain{
				Table: table, Name: known[i], Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRef(math.MinInt32),
			})
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
				&expr.Immediate{Register: 1, Data: []byte{1}},
				&expr.Meta{Key: expr.MetaKeyNFTRACE, SourceRegister: true, Register: 1},
			}})
		}
		const beforeConfirmation = math.MaxInt32 - 1 // of connections, which is the last of all
		chain := c.AddChain(&nftables.Chain{
			Table: table, Name: known[i] + last, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRef(beforeConfirmation),
		})
		if known[i] == "output" {
			hush(c, chain)
		}
		if known[i] == "input" || known[i] == "postrouting" {
			passCarriers(c, chain, carriers)
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: evenOf(unix.NFPROTO_IPV4, 5)})
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: evenOf(unix.NFPROTO_IPV6, 3)})
		}
	}
	return c.Flush()
}

// last ends the names of the chains after all others.
const last = "-last"

// evenOf drops packets whose byte at an offset is even.
func evenOf(family byte, offset uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{1}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0}},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// hush ends what the node's kernel says by ICMP once the rules at output had it: it is for who sent a packet, whom often nobody has, so that it would
// wait for a neighbour. The socket that sends it is that of all namespaces, and has room for some hundred that wait. What
// we send by a socket of the node passes, and what finds neighbours.
func hush(c *nftables.Conn, chain *nftables.Chain) {
	const informational = 130 // the first type of ICMPv6 that is neither an error nor an echo
	for _, match := range [][]expr.Any{
		{&expr.Meta{Key: expr.MetaKeySKUID, Register: 1}, &expr.Verdict{Kind: expr.VerdictAccept}}, // a kernel's socket has no user
		append(protocolIs(unix.NFPROTO_IPV4, unix.IPPROTO_ICMP), &expr.Verdict{Kind: expr.VerdictDrop}),
		append(protocolIs(unix.NFPROTO_IPV6, unix.IPPROTO_ICMPV6),
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Len: 1},
			&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: []byte{informational}},
			&expr.Verdict{Kind: expr.VerdictDrop}),
	} {
		c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: match})
	}
}

// silence keeps the others from answering what is not theirs. What carries the packets that are sent by a tunnel passes.
func silence(c *nftables.Conn, carriers []carrier) error {
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: ownTable})
	for _, hook := range []*nftables.ChainHook{nftables.ChainHookPrerouting, nftables.ChainHookOutput} {
		chain := &nftables.Chain{Table: table, Name: fmt.Sprintf("hook%d", *hook), Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRef(math.MinInt32)}
		drop := nftables.ChainPolicyDrop
		chain.Policy = &drop
		passCarriers(c, c.AddChain(chain), carriers)
	}
	return c.Flush()
}
