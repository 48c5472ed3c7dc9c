package inspect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// XfrmPolicy is a policy of xfrm (ip-xfrm(8)): whether packets are let through, blocked, or
// encrypted. No rule's trace tells of it.
type XfrmPolicy struct {
	Direction XfrmDirection
	Priority  int // the least is asked first
	From, To  netip.Prefix
	// Protocol is IPPROTO_TCP and so on; 0 is any, as of the ports.
	Protocol         uint8
	SourcePort, Port uint16
	Index            int  // of the interface; 0 is any
	Blocks           bool // else it lets through
	Encrypts         bool // what it lets through is to be encrypted
	// Asks is true where it also asks for a mark, or an interface of xfrm.
	Asks bool
	// Expires is true where the kernel deletes it after some time, or use (hard limits).
	Expires bool
}

// XfrmDirection is what packets a policy is for.
type XfrmDirection int

// The directions: to the node, from it or through it on their way out, and through it on
// their way in.
const (
	XfrmIn  = XfrmDirection(netlink.XFRM_DIR_IN)
	XfrmOut = XfrmDirection(netlink.XFRM_DIR_OUT)
	XfrmFwd = XfrmDirection(netlink.XFRM_DIR_FWD)
)

func (d XfrmDirection) String() string { return strings.TrimPrefix(netlink.Dir(d).String(), "dir ") }

// XfrmPolicies are those of the namespace, IPv4's first, each in the order in which they are
// asked. There are none where the kernel has no xfrm.
func (ns Namespace) XfrmPolicies() (all []XfrmPolicy, err error) {
	for family, everywhere := range map[int]netip.Prefix{
		netlink.FAMILY_V4: netip.PrefixFrom(netip.IPv4Unspecified(), 0), netlink.FAMILY_V6: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
	} {
		list, failed := ns.Handle.XfrmPolicyList(family)
		if errors.Is(failed, errors.ErrUnsupported) || errors.Is(failed, unix.EPROTONOSUPPORT) {
			return nil, nil
		}
		err = errors.Join(err, failed)
		limited, failed := ns.expiring(family, len(list))
		err = errors.Join(err, failed)
		for _, p := range slices.Backward(list) { // the kernel lists the newest first, and asks the oldest
			all = append(all, XfrmPolicy{
				Direction: XfrmDirection(p.Dir), Priority: p.Priority, From: selected(p.Src, everywhere), To: selected(p.Dst, everywhere),
				Protocol: uint8(p.Proto), SourcePort: uint16(p.SrcPort), Port: uint16(p.DstPort), Index: p.Ifindex,
				Blocks: p.Action == netlink.XFRM_POLICY_BLOCK, Encrypts: len(p.Tmpls) > 0, Asks: p.Mark != nil || p.Ifid != 0,
				Expires: limited[p.Index],
			})
		}
	}
	slices.SortStableFunc(all, func(p, q XfrmPolicy) int {
		if c := p.To.Addr().BitLen() - q.To.Addr().BitLen(); c != 0 {
			return c
		}
		return p.Priority - q.Priority
	})
	return all, err
}

// expiring are the indexes of a family's policies that have a hard limit, which the package
// netlink does not tell.
func (ns Namespace) expiring(family, policies int) (limited map[int]bool, err error) {
	if policies == 0 {
		return nil, nil
	}
	request := nl.NewNetlinkRequest(nl.XFRM_MSG_GETPOLICY, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(family))
	var messages [][]byte
	err = ns.Do(func() (err error) {
		messages, err = request.Execute(unix.NETLINK_XFRM, nl.XFRM_MSG_NEWPOLICY)
		return err
	})
	limited = map[int]bool{}
	for _, m := range messages {
		if len(m) < nl.SizeofXfrmUserpolicyInfo {
			continue
		}
		p := nl.DeserializeXfrmUserpolicyInfo(m)
		l := p.Lft
		limited[int(p.Index)] = l.HardByteLimit != nl.XFRM_INF || l.HardPacketLimit != nl.XFRM_INF || l.HardAddExpiresSeconds != 0 || l.HardUseExpiresSeconds != 0
	}
	if err != nil {
		return nil, fmt.Errorf("list limits of policies of xfrm: %w", err)
	}
	return limited, nil
}

// selected is a prefix of a selector. One of no bits has no family of its own.
func selected(n *net.IPNet, everywhere netip.Prefix) netip.Prefix {
	if n == nil {
		return everywhere
	}
	if ones, _ := n.Mask.Size(); ones == 0 {
		return everywhere
	}
	return prefixOf(*n)
}

// matches says whether a packet is one that the policy is for. known is false where that
// depends on what is not looked at.
func (p XfrmPolicy) matches(q Question, index int) (is, known bool) {
	ports := q.Protocol == unix.IPPROTO_TCP || q.Protocol == unix.IPPROTO_UDP || q.Protocol == unix.IPPROTO_UDPLITE
	switch {
	case !p.From.Contains(q.From) || !p.To.Contains(q.To) || p.Protocol != 0 && p.Protocol != q.Protocol || p.Index != 0 && p.Index != index:
		return false, true
	case !ports && (p.SourcePort != 0 || p.Port != 0): // of ICMP they are the type and the code
		return false, false
	case p.SourcePort != 0 && p.SourcePort != q.SourcePort || p.Port != 0 && p.Port != q.Port:
		return false, true
	}
	return true, !p.Asks
}

// Xfrm is the policy that decides about a packet of a direction at an interface; false where
// none does, or that is not known.
func (s *State) Xfrm(d XfrmDirection, q Question, index int) (XfrmPolicy, bool) {
	for _, p := range s.XfrmPolicies {
		if p.Direction != d {
			continue
		}
		switch is, known := p.matches(q, index); {
		case !known:
			return XfrmPolicy{}, false
		case is:
			return p, true
		}
	}
	return XfrmPolicy{}, false
}

// String is the policy as ip-xfrm(8) writes it.
func (p XfrmPolicy) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "src %s dst %s", p.From, p.To)
	if p.Protocol != 0 {
		fmt.Fprintf(&text, " proto %s", protocolText(p.Protocol))
	}
	if p.SourcePort != 0 {
		fmt.Fprintf(&text, " sport %d", p.SourcePort)
	}
	if p.Port != 0 {
		fmt.Fprintf(&text, " dport %d", p.Port)
	}
	fmt.Fprintf(&text, " dir %s", p.Direction)
	if p.Priority != 0 {
		fmt.Fprintf(&text, " priority %d", p.Priority)
	}
	if p.Blocks {
		text.WriteString(" action block")
	}
	return text.String()
}
