package harness

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What stands in for nft and for the kernel's own file, where they are missing.
func TestStateWithoutNftAndWithoutConntracksFile(t *testing.T) {
	Require(t, NftTool)
	t.Parallel()
	network := topo.New("pair")
	wire := network.Wire("wire", "10.0.0.0/24")
	network.Host("alice", wire)
	network.Host("bob", wire).Nft(`table inet filter { chain input {
		type filter hook input priority 0; policy drop;
		ct state new,established counter accept; }; }`)
	lab := Up(t, network)
	bob, to := lab.Node("bob"), netip.MustParseAddrPort("10.0.0.2:80")
	listener, err := bob.Listen(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := lab.Node("alice").Dial(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var tracked, names bytes.Buffer
	err = once(bob.ground.enter, func() error {
		if err := askConntrack(&tracked); err != nil {
			return err
		}
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := conn.ListTables()
		if err != nil {
			return err
		}
		return chainNames(&names, conn, tables)
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "dst=10.0.0.2 sport="; !strings.Contains(tracked.String(), want) {
		t.Errorf("%q is not in %s", want, &tracked)
	}
	if want := "table inet filter\nchain inet filter input: 1 rules, policy drop\n"; names.String() != want {
		t.Errorf("%q, want %q", names.String(), want)
	}
}

func TestStateReadsLikeIP(t *testing.T) {
	s := &state{names: map[int]string{2: "lan"}}
	net24 := &net.IPNet{IP: net.IPv4(10, 0, 1, 0), Mask: net.CIDRMask(24, 32)}
	for want, r := range map[string]netlink.Route{
		"10.0.1.0/24 via 10.0.0.9 dev lan table 7 proto static src 10.0.0.1 metric 5 mtu 1400 onlink": {
			Dst: net24, Gw: net.IPv4(10, 0, 0, 9), LinkIndex: 2, Table: 7, Protocol: unix.RTPROT_STATIC, Src: net.IPv4(10, 0, 0, 1),
			Priority: 5, MTU: 1400, Flags: unix.RTNH_F_ONLINK, Type: unix.RTN_UNICAST},
		"default via fe80::1 dev if9 proto ra dead linkdown": {
			Via: &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fe80::1")}, LinkIndex: 9, Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_RA,
			Flags: unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN},
		"default proto boot\n    nexthop via 10.0.0.8 dev lan weight 2\n    nexthop dev if3 weight 1 linkdown": {
			Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BOOT,
			MultiPath: []*netlink.NexthopInfo{{LinkIndex: 2, Hops: 1, Gw: net.IPv4(10, 0, 0, 8)}, {LinkIndex: 3, Flags: unix.RTNH_F_LINKDOWN}}},
	} {
		if got := s.routeText(&r); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	mask := uint32(0xff)
	all := netlink.Rule{
		Priority: 5, Src: net24, Dst: net24, IifName: "a", OifName: "b", Mark: 1, Mask: &mask, IPProto: 6, Invert: true, SuppressPrefixlen: 0,
		Sport: netlink.NewRulePortRange(1, 2), Dport: netlink.NewRulePortRange(3, 4), Table: 9,
	}
	want := "5: not from 10.0.1.0/24 to 10.0.1.0/24 iif a oif b fwmark 0x1/0xff ipproto 6 sport 1-2 dport 3-4 lookup 9 suppress_prefixlength 0"
	if got := ruleText(all); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := ruleText(netlink.Rule{Priority: 1, Type: unix.RTN_PROHIBIT}); got != "1: from all prohibit" {
		t.Error(got)
	}
	if got := ruleText(netlink.Rule{Priority: 1}); got != "1: from all blackhole, unreachable or prohibit" {
		t.Error(got)
	}
	if got := ruleText(netlink.Rule{Priority: 1, Goto: 32766}); got != "1: from all goto 32766" {
		t.Error(got)
	}
}
