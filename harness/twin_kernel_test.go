package harness_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hidden change what decides about packets, where no list of rules shows it: at a node, with
// what is told of it then. A port is by its interface.
var hidden = []struct {
	node, port, told string
	change           func(h *netlink.Handle, port int) error
}{
	{"fw", "lan", "xfrm: \"policy src ", func(h *netlink.Handle, _ int) error {
		return h.XfrmPolicyAdd(&netlink.XfrmPolicy{
			Src: cidr("10.0.0.0/24"), Dst: cidr("10.1.0.0/24"), Dir: netlink.XFRM_DIR_FWD, Action: netlink.XFRM_POLICY_BLOCK,
		})
	}},
	{"a", "lan", "xfrm: \"state src ", func(h *netlink.Handle, _ int) error {
		return h.XfrmStateAdd(&netlink.XfrmState{
			Src: net.IPv4(10, 0, 0, 1), Dst: net.IPv4(10, 1, 0, 1), Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL, Spi: 7,
			Auth:  &netlink.XfrmStateAlgo{Name: "digest_null", Key: []byte{}},
			Crypt: &netlink.XfrmStateAlgo{Name: "ecb(cipher_null)", Key: []byte{}},
		})
	}},
	{"fw", "lan", "traffic control: \"qdisc tbf dev lan ", func(h *netlink.Handle, port int) error {
		attrs := netlink.QdiscAttrs{LinkIndex: port, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
		return h.QdiscAdd(&netlink.Tbf{QdiscAttrs: attrs, Rate: 1 << 20, Limit: 1 << 12, Buffer: 1 << 12})
	}},
	{"a", "lan", "traffic control: \"qdisc ingress dev lan ", func(h *netlink.Handle, port int) error {
		attrs := netlink.QdiscAttrs{LinkIndex: port, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS}
		return h.QdiscAdd(&netlink.Ingress{QdiscAttrs: attrs})
	}},
	{"fw", "lan", "neighbours answered for: \"10.0.0.99 dev lan\" is new", func(h *netlink.Handle, port int) error {
		return h.NeighAdd(&netlink.Neigh{LinkIndex: port, IP: net.IPv4(10, 0, 0, 99), Family: unix.AF_INET, Flags: netlink.NTF_PROXY})
	}},
	{"fw", "lan", " neighbours: \"10.0.0.98 dev lan 02:00:00:00:00:09\" is new", func(h *netlink.Handle, port int) error {
		mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
		return h.NeighAdd(&netlink.Neigh{LinkIndex: port, IP: net.IPv4(10, 0, 0, 98), State: netlink.NUD_PERMANENT, HardwareAddr: mac})
	}},
	{"b", "wire", "bridges: \"br {", func(h *netlink.Handle, _ int) error {
		return h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br"}})
	}},
}

// sysctls that decide, of a namespace and of a link: one at a node, for one is told of it.
var hiddenSysctls = []struct{ node, key, value string }{
	{"fw", "net/ipv4/ip_default_ttl", "3"}, {"a", "net/ipv4/conf/lan/accept_redirects", "0"},
}

// A twin has nothing of what the harness does not make: that is told, for a check beside it
// would say that a rule matters which does not.
func TestNoTwinWithoutWhatDecides(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, twins())
	told := map[string][]string{}
	for _, c := range hidden {
		h := lab.Node(c.node).Netlink()
		port, err := h.LinkByName(c.port)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.change(h, port.Attrs().Index); err != nil {
			t.Logf("this kernel has not what is to be told by %q: %v", c.told, err)
			continue
		}
		told[c.node] = append(told[c.node], c.told)
	}
	for _, s := range hiddenSysctls {
		if out, err := lab.Node(s.node).Command("sh", "-c", "echo "+s.value+" > /proc/sys/"+s.key).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
		told[s.node] = append(told[s.node], fmt.Sprintf("sysctls: \"%s = %s\" is new", strings.ReplaceAll(s.key, "/", "."), s.value))
	}
	twin, err := lab.Twin()
	if err == nil {
		twin.Down()
		t.Fatal("there is one")
	}
	for line := range strings.Lines(err.Error()) {
		node, differences, ok := strings.Cut(strings.TrimPrefix(line, "twin: "), ": changed by other means than the harness's:")
		if !ok {
			t.Errorf("%q", line)
		}
		for _, want := range told[strings.TrimPrefix(node, "node ")] {
			if !strings.Contains(differences, want) {
				t.Errorf("%s: %s\nwant %s", node, differences, want)
			}
		}
		delete(told, strings.TrimPrefix(node, "node "))
	}
	if len(told) > 0 {
		t.Errorf("%v: not told of %v", err, told)
	}
}
