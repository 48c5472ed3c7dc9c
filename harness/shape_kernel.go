package harness

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What decides about packets besides links, routes, rules and sysctls. The harness makes
// none of it but sets that are declared, so a lab that has some has it by other means, and a twin of it does not.

// unless drops the error of a kernel that has no such thing.
func unless(err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	return whole(err)
}

// xfrm writes the policies of xfrm, and the states by which it encrypts.
func (s *state) xfrm(w io.Writer) error {
	policies, err := s.in.XfrmPolicies()
	if unless(err) != nil {
		return err
	}
	for _, p := range policies {
		fmt.Fprintf(w, "policy %s dev %s encrypts %v asks more %v\n", p, s.name(p.Index), p.Encrypts, p.Asks)
	}
	states, err := s.in.Handle.XfrmStateList(netlink.FAMILY_ALL)
	for _, state := range states {
		fmt.Fprintf(w, "state src %s dst %s proto %s spi %#x mode %s\n", state.Src, state.Dst, state.Proto, uint32(state.Spi), state.Mode)
	}
	return unless(err)
}

// traffic writes queues that are not what a link has by itself, what filters hang on, and
// programs of XDP.
func (s *state) traffic(w io.Writer) error {
	links, err := s.in.Handle.LinkList()
	if whole(err) != nil {
		return err
	}
	for _, link := range links {
		if xdp := link.Attrs().Xdp; xdp != nil && xdp.Attached {
			fmt.Fprintf(w, "%s has a program of XDP\n", link.Attrs().Name)
		}
	}
	queues, err := s.in.Handle.QdiscList(nil)
	if whole(err) != nil {
		return err
	}
	for _, q := range queues {
		a := q.Attrs()
		if q.Type() != "noqueue" {
			fmt.Fprintf(w, "qdisc %s dev %s handle %s parent %s\n", q.Type(), s.name(a.LinkIndex), netlink.HandleStr(a.Handle), netlink.HandleStr(a.Parent))
		}
		if err := s.filters(w, q); err != nil {
			return err
		}
	}
	return nil
}

// filters writes those that hang on a queue.
func (s *state) filters(w io.Writer, q netlink.Qdisc) error {
	a := q.Attrs()
	hooks := []uint32{a.Handle}
	switch {
	case q.Type() == "noqueue":
		return nil
	case q.Type() == "clsact" || q.Type() == "ingress":
		hooks = []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS}
	}
	dev := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: a.LinkIndex}}
	for _, hook := range hooks {
		found, err := s.in.Handle.FilterList(dev, hook)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
			continue // no filters can be there
		}
		if whole(err) != nil {
			return err
		}
		for _, f := range found {
			fmt.Fprintf(w, "filter %s dev %s parent %s pref %d handle %#x\n", f.Type(), s.name(a.LinkIndex), netlink.HandleStr(hook), f.Attrs().Priority, f.Attrs().Handle)
		}
	}
	return nil
}

// balancing writes the services of IPVS and their servers, without their connections.
func (s *state) balancing(w io.Writer) error {
	file, err := own("ip_vs")
	if file == nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	for i, line := range strings.Split(string(text), "\n") {
		const named, most = 3, 4 // lines that name the columns; protocol or arrow, address, way and weight
		if fields := strings.Fields(line); i >= named && len(fields) > 0 {
			fmt.Fprintln(w, strings.Join(fields[:min(most, len(fields))], " "))
		}
	}
	return err
}

// sets writes the names of the sets of ipset, which rules of iptables ask.
func (s *state) sets(w io.Writer) error {
	if _, err := os.Stat("/sys/module/ip_set"); err != nil {
		return nil // to ask would load it
	}
	return unless(s.in.Do(func() error {
		answers, err := askIpset().Execute(unix.NETLINK_NETFILTER, 0)
		for _, answer := range answers {
			set, err := nl.ParseRouteAttrAsMap(answer[min(nl.SizeofNfgenmsg, len(answer)):])
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "set %s of type %s\n", nl.BytesToString(set[nl.IPSET_ATTR_SETNAME].Value), nl.BytesToString(set[nl.IPSET_ATTR_TYPENAME].Value))
		}
		return err
	}))
}

// askIpset is a question for the sets' names and types. netlink's own reads members too, and logs what
// it does not know of them.
func askIpset() *nl.NetlinkRequest {
	const headers = 1 << 2 // IPSET_FLAG_LIST_HEADER (linux/netfilter/ipset/ip_set.h)
	request := nl.NewNetlinkRequest(nl.IPSET_CMD_LIST|unix.NFNL_SUBSYS_IPSET<<8, nl.GetIpsetFlags(nl.IPSET_CMD_LIST))
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_NETLINK, Version: nl.NFNETLINK_V0})
	request.AddData(nl.NewRtAttr(nl.IPSET_ATTR_PROTOCOL, nl.Uint8Attr(nl.IPSET_PROTOCOL)))
	request.AddData(nl.NewRtAttr(nl.IPSET_ATTR_FLAGS|int(nl.NLA_F_NET_BYTEORDER), binary.BigEndian.AppendUint32(nil, headers)))
	return request
}

// bridges writes what bridges, VLANs and macvlans are told to do, and the VLANs of ports.
func (s *state) bridges(w io.Writer) error {
	links, err := s.in.Handle.LinkList()
	if whole(err) != nil {
		return err
	}
	for _, link := range links {
		name := link.Attrs().Name
		var told any
		switch link := link.(type) {
		case *netlink.Bridge:
			told = map[string]any{
				"vlan_filtering": link.VlanFiltering, "vlan_default_pvid": link.VlanDefaultPVID, "group_fwd_mask": link.GroupFwdMask,
				"mcast_snooping": link.MulticastSnooping, "ageing_time": link.AgeingTime,
			}
		case *netlink.Vlan:
			told = fmt.Sprint(link.VlanProtocol, link.VlanId)
		case *netlink.Macvlan:
			told = fmt.Sprint(link.Mode)
		default:
			continue
		}
		text, err := json.Marshal(told)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s %s\n", name, text)
	}
	vlans, err := s.in.Handle.BridgeVlanList()
	for index, of := range vlans {
		for _, vlan := range of {
			fmt.Fprintf(w, "%s vlan %d flags %#x\n", s.name(int(index)), vlan.Vid, vlan.Flags)
		}
	}
	return unless(err)
}

// proxies writes the neighbours that are answered for.
func (s *state) proxies(w io.Writer) error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		entries, err := s.in.Handle.NeighProxyList(0, family)
		if whole(err) != nil {
			return err
		}
		for _, n := range entries {
			fmt.Fprintf(w, "%s dev %s\n", n.IP, s.name(n.LinkIndex))
		}
	}
	return nil
}
