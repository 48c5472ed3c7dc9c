package harness_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ruledText has some of each kind of rule.
const ruledText = `table inet filter {
	set hosts { type ipv4_addr; elements = { 10.0.0.1 }; }
	set ports { type inet_service; flags interval; elements = { 80-90 }; }
	map to { type inet_service : verdict; elements = { 22 : drop }; }
	set bans { type ipv4_addr; flags timeout; elements = { 10.0.0.9 timeout 1h }; }
	quota much { over 25 mbytes; }
	limit pace { rate 10/second; }
	counter seen { packets 1 bytes 2; }
	ct helper ftp { type "ftp" protocol tcp; }
	ct timeout brief { protocol tcp; policy = { established : 100 }; }
	chain forward {
		type filter hook forward priority 0; policy accept;
		ip saddr @hosts tcp dport @ports counter accept comment "web"
		tcp dport vmap @to
		ip saddr @bans drop
		quota name "much" drop
		numgen random mod 2 0 drop
	}
	chain other { counter name "seen"; }
}
table netdev early { chain in { type filter hook ingress device "lan" priority 0; policy accept; }; }
`

// loads are what a router has in the place of that, by whom it is asked for.
var loads = map[string]struct {
	needs []harness.Feature
	load  func(fw *harness.Node) error
}{
	"nft": {[]harness.Feature{harness.NftTool}, func(fw *harness.Node) error { return fw.Nft(ruledText) }},
	"iptables-nft": {[]harness.Feature{harness.IptablesTool}, func(fw *harness.Node) error {
		return fw.Iptables("*nat\n-A POSTROUTING -s 10.9.0.0/24 -j MASQUERADE\nCOMMIT\n", topo.NfTables)
	}},
	"iptables-legacy": {[]harness.Feature{harness.Tool("iptables-legacy")}, func(fw *harness.Node) error {
		return fw.Iptables("*filter\n-A FORWARD -p tcp --dport 23 -j DROP\nCOMMIT\n", topo.Legacy)
	}},
	"ipset": {[]harness.Feature{harness.Tool("ipset"), harness.NftTool}, func(fw *harness.Node) error {
		return fw.Ipset("create goods hash:ip timeout 3600\nadd goods 10.0.0.1\ncreate bads hash:net\nadd bads 10.7.0.0/16\n")
	}},
}

// ruledLab is one whose router has those.
func ruledLab(t *testing.T, by string) *harness.Lab {
	t.Helper()
	if by == "" {
		by = "nft"
	}
	harness.Require(t, loads[by].needs...)
	lab := harness.Up(t, twins())
	fw := lab.Node("fw")
	if err := errors.Join(fw.Nft("flush ruleset"), loads[by].load(fw)); err != nil {
		t.Fatal(err)
	}
	return lab
}

// alterations are one for each kind of what decides.
var alterations = map[string]struct {
	by    string // which of the loads it alters; "" is nft
	alter func(fw *harness.Node, lan netlink.Link) error
}{
	"a rule's word":         {"", nftly("replace rule inet filter forward handle HANDLE ip saddr @hosts tcp dport @ports counter drop")},
	"one more rule":         {"", nftly("add rule inet filter forward accept")},
	"a set's element":       {"", nftly("add element inet filter hosts { 10.0.0.2 }")},
	"an interval":           {"", nftly("delete element inet filter ports { 80-90 }; add element inet filter ports { 80-91 }")},
	"a map":                 {"", nftly("delete element inet filter to { 22 }; add element inet filter to { 22 : accept }")},
	"an element's timeout":  {"", nftly("delete element inet filter bans { 10.0.0.9 }; add element inet filter bans { 10.0.0.9 timeout 10s }")},
	"a policy":              {"", nftly("chain inet filter forward { policy drop; }")},
	"a priority":            {"", nftly("delete table netdev early; table netdev early { chain in { type filter hook ingress device lan priority 1; policy accept; }; }")},
	"a device":              {"", nftly("delete table netdev early; table netdev early { chain in { type filter hook ingress device wire priority 0; policy accept; }; }")},
	"a dormant table":       {"", nftly("add table inet filter { flags dormant; }")},
	"a quota":               {"", nftly("delete rule inet filter forward handle QUOTA; delete quota inet filter much; add quota inet filter much { over 26 mbytes; }; add rule inet filter forward quota name much drop")},
	"a limit":               {"", nftly("delete limit inet filter pace; add limit inet filter pace { rate 11/second; }")},
	"a ct helper":           {"", nftly(`delete ct helper inet filter ftp; add ct helper inet filter ftp { type "ftp" protocol tcp; l3proto ip6; }`)},
	"a ct timeout":          {"", nftly("delete ct timeout inet filter brief; add ct timeout inet filter brief { protocol tcp; policy = { established : 101 }; }")},
	"an order of two lines": {"", nftly("delete rule inet filter forward handle FIRST; add rule inet filter forward ip saddr @hosts tcp dport @ports counter accept")},
	"iptables-nft": {"iptables-nft", func(fw *harness.Node, _ netlink.Link) error {
		return fw.Iptables("*nat\n-A POSTROUTING -s 10.9.1.0/24 -j MASQUERADE\nCOMMIT\n", topo.NfTables)
	}},
	"iptables-legacy": {"iptables-legacy", func(fw *harness.Node, _ netlink.Link) error {
		return fw.Iptables("*filter\n-A FORWARD -p tcp --dport 24 -j DROP\nCOMMIT\n", topo.Legacy)
	}},
	"a member of ipset": {"ipset", func(fw *harness.Node, _ netlink.Link) error { return fw.Ipset("add goods 10.0.0.2\n") }},
	"a member's time":   {"ipset", func(fw *harness.Node, _ netlink.Link) error { return fw.Ipset("add goods 10.0.0.1 timeout 20\n") }},
	"sets of ipset that change names": {"ipset", func(fw *harness.Node, _ netlink.Link) error {
		return fw.Ipset("create third hash:ip timeout 3600\n")
	}},
	"a route": {"", func(fw *harness.Node, lan netlink.Link) error {
		return fw.Netlink().RouteAdd(&netlink.Route{LinkIndex: lan.Attrs().Index, Dst: cidr("10.7.0.0/16")})
	}},
	"a route's metric": {"", func(fw *harness.Node, lan netlink.Link) error {
		return fw.Netlink().RouteAppend(&netlink.Route{LinkIndex: lan.Attrs().Index, Dst: cidr("10.0.0.0/24"), Priority: 7})
	}},
	"a rule of policy routing": {"", func(fw *harness.Node, _ netlink.Link) error {
		r := netlink.NewRule()
		r.Src, r.Table, r.Priority = cidr("10.0.0.0/24"), 7, 7
		return fw.Netlink().RuleAdd(r)
	}},
	"an address": {"", func(fw *harness.Node, lan netlink.Link) error {
		return fw.Netlink().AddrAdd(lan, &netlink.Addr{IPNet: cidr("10.0.0.77/24")})
	}},
	"a link-local address": {"", func(fw *harness.Node, lan netlink.Link) error {
		return fw.Netlink().AddrAdd(lan, &netlink.Addr{IPNet: cidr("fe80::77/64"), Flags: unix.IFA_F_NODAD})
	}},
	"a neighbour": {"", func(fw *harness.Node, lan netlink.Link) error {
		mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
		return fw.Netlink().NeighAdd(&netlink.Neigh{LinkIndex: lan.Attrs().Index, IP: net.IPv4(10, 0, 0, 98), State: netlink.NUD_PERMANENT, HardwareAddr: mac})
	}},
	"a link that is down": {"", func(fw *harness.Node, lan netlink.Link) error { return fw.Netlink().LinkSetDown(lan) }},
	"a link's other end":  {"", func(fw *harness.Node, _ netlink.Link) error { return fw.Lab().Node("b").Port("wire").Down() }},
	"a link's group":      {"", func(fw *harness.Node, lan netlink.Link) error { return fw.Netlink().LinkSetGroup(lan, 7) }},
	"an MTU":              {"", func(fw *harness.Node, lan netlink.Link) error { return fw.Netlink().LinkSetMTU(lan, 1400) }},
	"a MAC": {"", func(fw *harness.Node, lan netlink.Link) error {
		return fw.Netlink().LinkSetHardwareAddr(lan, net.HardwareAddr{2, 0, 0, 0, 0, 9})
	}},
	"ip_forward":         {"", sysctly("net.ipv4.ip_forward", "0")},
	"rp_filter":          {"", sysctly("net.ipv4.conf.wire.rp_filter", "1")},
	"route_localnet":     {"", sysctly("net.ipv4.conf.lan.route_localnet", "1")},
	"a sysctl of IPv6":   {"", sysctly("net.ipv6.conf.lan.hop_limit", "9")},
	"conntrack's sysctl": {"", sysctly("net.netfilter.nf_conntrack_tcp_loose", "0")},
	"a queue that holds packets": {"", func(fw *harness.Node, lan netlink.Link) error {
		attrs := netlink.QdiscAttrs{LinkIndex: lan.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
		return fw.Netlink().QdiscAdd(&netlink.Tbf{QdiscAttrs: attrs, Rate: 1 << 20, Limit: 1 << 12, Buffer: 1 << 12})
	}},
	"a policy of xfrm": {"", func(fw *harness.Node, _ netlink.Link) error {
		return fw.Netlink().XfrmPolicyAdd(&netlink.XfrmPolicy{
			Src: cidr("10.0.0.0/24"), Dst: cidr("10.1.0.0/24"), Dir: netlink.XFRM_DIR_FWD, Action: netlink.XFRM_POLICY_BLOCK,
		})
	}},
}

func sysctly(key, value string) func(*harness.Node, netlink.Link) error {
	return func(fw *harness.Node, _ netlink.Link) error { return fw.SetSysctl(key, value) }
}

// nftly loads a text in which HANDLE and FIRST stand for the first rule of forward, QUOTA for that with one.
func nftly(text string) func(*harness.Node, netlink.Link) error {
	return func(fw *harness.Node, _ netlink.Link) error {
		out, err := fw.Command("nft", "-a", "list", "chain", "inet", "filter", "forward").Output()
		if err != nil {
			return err
		}
		for _, word := range [][2]string{{"HANDLE", "@ports"}, {"FIRST", "@ports"}, {"QUOTA", "quota"}} {
			for line := range strings.Lines(string(out)) {
				if _, handle, is := strings.Cut(line, "# handle "); is && strings.Contains(line, word[1]) {
					text = strings.ReplaceAll(text, word[0], strings.TrimSpace(handle))
				}
			}
		}
		return fw.Nft(text)
	}
}

// Two nodes of one making do not differ, and do by whatever is altered alone.
func TestDiffers(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	for name, c := range alterations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mine, its := ruledLab(t, c.by).Node("fw"), ruledLab(t, c.by).Node("fw")
			if text, err := mine.Differs(its); err != nil || text != "" {
				t.Fatalf("two of one making differ: %q %v", text, err)
			}
			lan, err := its.Netlink().LinkByName("lan")
			if err == nil {
				err = c.alter(its, lan)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, pair := range [][2]*harness.Node{{mine, its}, {its, mine}} {
				if text, err := pair[0].Differs(pair[1]); err != nil || text == "" {
					t.Errorf("it does not differ: %v", err)
				}
			}
		})
	}
}

// What counts, numbers and is for people is no difference.
func TestDiffersInNothingThatDecides(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	mine, its := ruledLab(t, "nft"), ruledLab(t, "nft")
	fw := its.Node("fw")
	lan, err := fw.Netlink().LinkByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"add rule inet filter other drop; flush chain inet filter other; add rule inet filter other counter name seen",
		`replace rule inet filter forward handle HANDLE ip saddr @hosts tcp dport @ports counter packets 7 bytes 7 accept comment "the web"`,
		"delete element inet filter hosts { 10.0.0.1 }; add element inet filter hosts { 10.0.0.1 }",
	} {
		if err := nftly(text)(fw, lan); err != nil {
			t.Fatal(text, err)
		}
	}
	if conn, err := its.Node("a").Dial(t.Context(), "udp", netip.MustParseAddrPort("10.1.0.2:9")); err != nil {
		t.Fatal(err)
	} else if _, err = conn.Write([]byte("counted")); err != nil {
		t.Error(err)
	}
	if text, err := mine.Node("fw").Differs(fw); err != nil || text != "" {
		t.Errorf("they differ: %q %v", text, err)
	}
}
