package inspect

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	nfnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Decisive is what decides about the packets of a namespace, as the kernel lists it: message by message, in hexadecimal, without what
// counts and numbers. What it does not know of a message is in it, so that two are equal only where the kernel says the same.
type Decisive struct {
	// Parts are lines, by what they are of: "routes".
	Parts map[string][]string
	// Unread is what the kernel does not list, though it decides: nil where there is nothing.
	Unread []string
}

// Decisive reads links, addresses, routes, policy routing rules, nftables and sets of ipset. It does not read what other lists of
// the namespace have: neighbours, sysctls, tc, xfrm, iptables-legacy.
func (ns Namespace) Decisive() (d Decisive, err error) {
	d.Parts = map[string][]string{PartNftables: nil, partIpset: nil} // which are not in each namespace
	err = ns.Do(func() error { return errors.Join(d.routing(), d.ruleset(), d.ipsets()) })
	return d, err
}

// PartNftables is the part of Decisive that nftables' rules are.
const PartNftables = "rules of nftables"

const partIpset = "members of ipset"

// listing is a list of the kernel's: of which kind its messages are, and what of them decides.
type listing struct {
	what   string
	ask    uint16
	family byte
	header int // the length of what comes before the attributes
	sieve  sieve
	text   func(ruleAttrs) string // instead of the sieve, where what is left out depends on more than the attribute
	// takes says which messages count; nil for all.
	takes func(header []byte, attrs ruleAttrs) bool
	// orders are messages whose order says nothing, unless they compare as equal; nil where it always does.
	orders func(a, b rawMessage) int
}

// line is what decides of a message's attributes.
func (l *listing) line(attrs ruleAttrs) string {
	if l.text != nil {
		return l.text(attrs)
	}
	return l.sieve.text(attrs)
}

// rawMessage is one of a list.
type rawMessage struct {
	header []byte
	attrs  ruleAttrs
}

// sieve says what of attributes is left out, what alone is taken (all the rest, where that is nil), and what those within are.
type sieve struct {
	without, only []int
	within        map[int]func(ruleAttrs) string
}

// text is what the sieve takes, in the kernel's order.
func (s sieve) text(attrs ruleAttrs) string {
	var b strings.Builder
	for kind, value := range attrs.all() {
		switch within := s.within[kind]; {
		case slices.Contains(s.without, kind) || s.only != nil && !slices.Contains(s.only, kind):
		case within != nil:
			fmt.Fprintf(&b, " %d:{%s }", kind, within(value))
		default:
			fmt.Fprintf(&b, " %d:%x", kind, []byte(value))
		}
	}
	return b.String()
}

// The attributes of links, addresses and routes that are told, or left out (linux/if_link.h, if_addr.h, rtnetlink.h, neighbour.h).
const (
	iflaGroup = 27
	ifaProto  = 11
	// The kernel made a link-local address of a MAC, which is told; or by chance.
	kernelLinkLocal = 3
	ndaProbes       = 4
	rtaMFCStats     = 17
	getNexthop      = 106
)

var linkKinds = sieve{only: []int{unix.IFLA_INFO_KIND, unix.IFLA_INFO_DATA, unix.IFLA_INFO_SLAVE_KIND, unix.IFLA_INFO_SLAVE_DATA}}

// listings are those of routing.
var listings = []listing{
	{what: "kinds of link", ask: unix.RTM_GETLINK, header: unix.SizeofIfInfomsg, sieve: sieve{
		only: []int{unix.IFLA_IFNAME, unix.IFLA_MTU, unix.IFLA_MASTER, unix.IFLA_OPERSTATE, unix.IFLA_CARRIER, iflaGroup, unix.IFLA_PROTO_DOWN, unix.IFLA_LINKINFO},
		within: map[int]func(ruleAttrs) string{
			unix.IFLA_LINKINFO: linkInfo,
		},
	}},
	{what: "addresses", ask: unix.RTM_GETADDR, header: unix.SizeofIfAddrmsg, sieve: sieve{without: []int{unix.IFA_CACHEINFO}}, takes: isChosen, orders: byHeader},
	{what: "routes by number", ask: unix.RTM_GETROUTE, header: unix.SizeofRtMsg, sieve: sieve{without: []int{unix.RTA_CACHEINFO, rtaMFCStats}}, takes: isRoute, orders: byDestination},
	{what: "nexthops", ask: getNexthop, header: 8},
	{what: "rules of policy routing by number", ask: unix.RTM_GETRULE, header: unix.SizeofRtMsg},
	{what: "tunnels' ends", ask: unix.RTM_GETNEIGH, family: unix.AF_BRIDGE, header: unix.SizeofNdMsg, sieve: sieve{without: []int{unix.NDA_CACHEINFO, ndaProbes}}, takes: hasEnd, orders: byAll},
}

// linkInfo is what a link's kind says of it, without what a bridge has by itself or counts.
func linkInfo(info ruleAttrs) string {
	of := linkKinds
	bridge, port := sieve{without: []int{48}}, sieve{without: []int{38, 41}} // learnt entries; hosts and groups that were heard
	for kind := 10; kind <= 19; kind++ {                                     // IFLA_BR_ROOT_ID to GC_TIMER
		bridge.without = append(bridge.without, kind)
	}
	for kind := 13; kind <= 24; kind++ { // IFLA_BRPORT_ROOT_ID to FLUSH
		port.without = append(port.without, kind)
	}
	of.within = map[int]func(ruleAttrs) string{}
	if info.first(unix.IFLA_INFO_KIND).text() == "bridge" {
		of.within[unix.IFLA_INFO_DATA] = bridge.text
	}
	if info.first(unix.IFLA_INFO_SLAVE_KIND).text() == "bridge" {
		of.within[unix.IFLA_INFO_SLAVE_DATA] = port.text
	}
	return of.text(info)
}

// isChosen says whether somebody chose an address: not the kernel, for a link.
func isChosen(_ []byte, attrs ruleAttrs) bool {
	proto := attrs.first(ifaProto)
	return len(proto) == 0 || proto[0] != kernelLinkLocal
}

// isRoute says whether a message is about a route, and not about what the kernel keeps of one, nor about an address that it chose.
func isRoute(header []byte, attrs ruleAttrs) bool {
	const protocol, kind, flags, cloned = 5, 7, 8, 0x200 // of struct rtmsg; RTM_F_CLONED
	to := attrs.first(unix.RTA_DST)
	own := header[kind] == unix.RTN_LOCAL || header[kind] == unix.RTN_ANYCAST
	linkLocal := header[0] == unix.AF_INET6 && isLinkLocal(to)
	kernels := own && linkLocal && header[protocol] == unix.RTPROT_KERNEL
	return binary.NativeEndian.Uint32(header[flags:])&cloned == 0 && !kernels
}

// hasEnd says whether an entry of a forwarding table leads to the end of a tunnel.
func hasEnd(_ []byte, attrs ruleAttrs) bool { return attrs.first(unix.NDA_DST) != nil }

func byHeader(a, b rawMessage) int { return slices.Compare(a.header[4:], b.header[4:]) }

// byDestination leaves the order of routes to one prefix, but for those of IPv6 that each link has, which are asked for by it.
func byDestination(a, b rawMessage) int {
	of := func(m rawMessage, kind int) []byte { return m.attrs.first(kind) }
	order := cmp.Or(slices.Compare(a.header[:2], b.header[:2]), slices.Compare(of(a, unix.RTA_TABLE), of(b, unix.RTA_TABLE)),
		slices.Compare(of(a, unix.RTA_DST), of(b, unix.RTA_DST)))
	if to := of(a, unix.RTA_DST); order == 0 && a.header[0] == unix.AF_INET6 && len(to) > 1 && (to[0] == 0xff || isLinkLocal(to)) {
		return byAll(a, b)
	}
	return order
}

func isLinkLocal(addr []byte) bool { return len(addr) >= 2 && addr[0] == 0xfe && addr[1]&0xc0 == 0x80 }

func byAll(a, b rawMessage) int {
	return cmp.Or(slices.Compare(a.header, b.header), slices.Compare(a.attrs, b.attrs))
}

// routing reads the lists of routing of the calling thread's namespace.
func (d *Decisive) routing() error {
	conn, err := dialLists(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer func() { _ = conn.Close() }()
	for _, l := range listings {
		lines, err := l.read(conn)
		if err != nil {
			return fmt.Errorf("list %s: %w", l.what, err)
		}
		d.Parts[l.what] = lines
	}
	return nil
}

// read asks for a list, and again where the kernel changed it under way. A kernel that has no such list has nothing in it.
func (l *listing) read(conn *nfnl.Conn) (lines []string, err error) {
	header := make([]byte, l.header)
	header[0] = l.family
	var messages []nfnl.Message
	for range mostTries + 1 {
		messages, err = conn.Execute(nfnl.Message{Header: nfnl.Header{Type: nfnl.HeaderType(l.ask), Flags: nfnl.Request | nfnl.Dump}, Data: header})
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) && l.ask == getNexthop {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(messages, isInterrupted) {
			break
		}
		err = unix.EINTR
	}
	var all []rawMessage
	for _, m := range messages {
		if len(m.Data) < l.header {
			continue
		}
		of := rawMessage{m.Data[:l.header], ruleAttrs(m.Data[l.header:])}
		if l.takes == nil || l.takes(of.header, of.attrs) {
			all = append(all, of)
		}
	}
	if l.orders != nil {
		slices.SortStableFunc(all, l.orders)
	}
	for _, m := range all {
		lines = append(lines, fmt.Sprintf("%x%s", m.header, l.line(m.attrs)))
	}
	return lines, err
}

func isInterrupted(m nfnl.Message) bool { return m.Header.Flags&nfnl.DumpInterrupted != 0 }
