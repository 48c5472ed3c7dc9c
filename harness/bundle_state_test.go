package harness

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
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
		ct original ip saddr 10.0.9.0/24 drop
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
		return chainNames(&names)
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "dst=10.0.0.2 sport="; !strings.Contains(tracked.String(), want) {
		t.Errorf("%q is not in %s", want, &tracked)
	}
	if want := "table inet filter\nchain inet filter input: 2 rules, policy drop\n"; names.String() != want {
		t.Errorf("%q, want %q", names.String(), want)
	}
}

func TestStateReadsLikeIP(t *testing.T) {
	s := &state{names: map[int]string{2: "lan"}}
	net24 := netip.MustParsePrefix("10.0.1.0/24")
	for want, r := range map[string]inspect.Route{
		"10.0.1.0/24 via 10.0.0.9 dev lan table 7 proto static src 10.0.0.1 metric 5 mtu 1400 onlink": {
			To: net24, Via: netip.MustParseAddr("10.0.0.9"), Index: 2, Table: 7, Protocol: unix.RTPROT_STATIC, Source: netip.MustParseAddr("10.0.0.1"),
			Metric: 5, MTU: 1400, Flags: unix.RTNH_F_ONLINK, Type: unix.RTN_UNICAST},
		"default via fe80::1 dev if9 proto ra dead linkdown": {
			To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("fe80::1"), Index: 9, Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_RA,
			Flags: unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN},
		"blackhole 10.0.1.1 proto boot\n    nexthop via 10.0.0.8 dev lan weight 2\n    nexthop dev if3 weight 1 linkdown": {
			To: netip.MustParsePrefix("10.0.1.1/32"), Type: unix.RTN_BLACKHOLE, Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BOOT,
			Hops: []inspect.Hop{{Index: 2, Weight: 2, Via: netip.MustParseAddr("10.0.0.8")}, {Index: 3, Weight: 1, Flags: unix.RTNH_F_LINKDOWN}}},
	} {
		if got := s.routeText(r); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
