package harness_test

import (
	"errors"
	"net"
	"testing"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// asks are calls of a handle in every netlink family, none of which changes anything.
var asks = map[string]func(*netlink.Handle) error{
	"route":       func(h *netlink.Handle) error { _, err := h.LinkList(); return err },
	"xfrm":        func(h *netlink.Handle) error { _, err := h.XfrmPolicyList(netlink.FAMILY_ALL); return err },
	"netfilter":   func(h *netlink.Handle) error { _, err := h.IpsetListAll(); return err },
	"generic":     func(h *netlink.Handle) error { _, err := h.GenlFamilyList(); return err },
	"diagnostics": func(h *netlink.Handle) error { _, err := h.SocketDiagTCP(unix.AF_INET); return err },
	"rdma":        func(h *netlink.Handle) error { _, err := h.RdmaLinkList(); return err },
}

func TestHandlesFailOnceTheLabIsDown(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	alice, bob := lab.Node("alice"), lab.Node("bob")
	kept := alice.Netlink()
	lab.Down()
	for name, ask := range asks {
		if err := ask(kept); err == nil {
			t.Errorf("%s: a handle that was kept still works: it shows the machine", name)
		}
		if err := ask(bob.Netlink()); err == nil {
			t.Errorf("%s: a handle that was opened after Down works: it shows the machine", name)
		}
	}
}

func TestHandlesOfEveryFamilyAreTheNodes(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	policy := &netlink.XfrmPolicy{
		Src: cidr("192.0.2.0/24"), Dst: cidr("198.51.100.0/24"), Dir: netlink.XFRM_DIR_OUT, Action: netlink.XFRM_POLICY_BLOCK,
	}
	if err := bob.Netlink().XfrmPolicyAdd(policy); err != nil {
		t.Skipf("this kernel has no XFRM: %v", err)
	}
	// An ordinary user may not read the machine's.
	count := func(h *netlink.Handle, refused error) (n int) {
		policies, err := h.XfrmPolicyList(netlink.FAMILY_V4)
		if err != nil && !errors.Is(err, refused) {
			t.Fatal(err)
		}
		for _, p := range policies {
			if p.Dst.String() == policy.Dst.String() {
				n++
			}
		}
		return n
	}
	machine, err := netlink.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	if n := count(machine, unix.EPERM); n != 0 {
		_ = machine.XfrmPolicyDel(policy)
		t.Fatal("the policy is the machine's")
	}
	if n := count(bob.Netlink(), nil); n != 1 {
		t.Errorf("bob has %d such policies, not 1", n)
	}
}

func TestAConnectionToNftablesEndsWithItsCall(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	var kept *nftables.Conn
	if err := bob.Nftables(func(conn *nftables.Conn) error { kept = conn; _, err := conn.ListTables(); return err }); err != nil {
		t.Fatal(err)
	}
	if tables, err := kept.ListTables(); err == nil {
		t.Errorf("a connection that was kept lists %d tables, of the machine", len(tables))
	}
	kept.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "nstest-kept"})
	if err := kept.Flush(); err == nil {
		t.Error("a connection that was kept makes tables, on the machine")
	}
}

func cidr(text string) *net.IPNet {
	_, network, err := net.ParseCIDR(text)
	if err != nil {
		panic(err)
	}
	return network
}
