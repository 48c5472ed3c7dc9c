package attached_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// somebodys is a namespace that is not the harness's: a process of the specs' own is in
// it, as a container's would be, and configures it as whoever made it would.
type somebodys struct {
	name string
	*exec.Cmd
	*harness.Node // for the maker alone
}

// somebody starts a process in a namespace of its own. It ends with the spec, and when the
// specs' process dies: then its input does.
func somebody(name string) *somebodys {
	GinkgoHelper()
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	input, err := cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	cmd.Stdout = io.Discard
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = input.Close()
		_ = cmd.Wait()
	})
	s := &somebodys{name: name, Cmd: cmd}
	s.Node = harness.Attach(GinkgoTB(), name, s.path())
	for _, of := range []string{"all", "default"} { // no waiting for duplicate address detection
		Expect(s.SetSysctl("net.ipv6.conf."+of+".accept_dad", "0")).To(Succeed())
	}
	s.up("lo")
	return s
}

func (s *somebodys) path() string { return fmt.Sprintf("/proc/%d/ns/net", s.Process.Pid) }

// existing is how a lab attaches it.
func (s *somebodys) existing() harness.Existing {
	return harness.Existing{Name: s.name, PID: s.Process.Pid}
}

func (s *somebodys) link(name string) netlink.Link {
	GinkgoHelper()
	link, err := s.Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred(), "%s: link %s", s.name, name)
	return link
}

func (s *somebodys) up(name string) {
	GinkgoHelper()
	Expect(s.Netlink().LinkSetUp(s.link(name))).To(Succeed())
}

// cable is a pair between two of somebody's, both ends up, with the addresses given.
func cable(a *somebodys, nameA string, b *somebodys, nameB string) {
	GinkgoHelper()
	file, err := os.Open(b.path())
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = nameA
	Expect(a.Netlink().LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: nameB, PeerNamespace: netlink.NsFd(int(file.Fd()))})).To(Succeed())
	a.up(nameA)
	b.up(nameB)
}

// address gives an interface addresses; those of IPv6 at once.
func (s *somebodys) address(link string, prefixes ...string) {
	GinkgoHelper()
	for _, prefix := range prefixes {
		addr, err := netlink.ParseAddr(prefix)
		Expect(err).NotTo(HaveOccurred())
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD
		}
		Expect(s.Netlink().AddrAdd(s.link(link), addr)).To(Succeed(), "%s: %s at %s", s.name, prefix, link)
		Eventually(func() ([]netlink.Route, error) { // IPv6's comes later, by a worker of the kernel
			return s.Netlink().RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_LOCAL, Dst: netlink.NewIPNet(addr.IP)}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
		}, 5*time.Second).ShouldNot(BeEmpty(), "%s: the local route of %s", s.name, prefix)
	}
}

// bridge makes one, with ports.
func (s *somebodys) bridge(name string, ports ...string) {
	GinkgoHelper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	Expect(s.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs})).To(Succeed())
	s.up(name)
	for _, port := range ports {
		Expect(s.Netlink().LinkSetMaster(s.link(port), s.link(name))).To(Succeed())
	}
}

func (s *somebodys) gateway(via string) {
	GinkgoHelper()
	gw := netip.MustParseAddr(via)
	all := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	if gw.Is6() {
		all = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	}
	Expect(s.Netlink().RouteAdd(&netlink.Route{Dst: all, Gw: gw.AsSlice()})).To(Succeed())
}

func (s *somebodys) forward() {
	GinkgoHelper()
	for _, key := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		Expect(s.SetSysctl(key, "1")).To(Succeed())
	}
}

// tables are the names of the nftables tables that it has, and nothing of the harness's
// is asked.
func (s *somebodys) tables() []string {
	GinkgoHelper()
	out, err := s.Command("nft", "list", "tables").Output()
	Expect(err).NotTo(HaveOccurred())
	return strings.Fields(strings.ReplaceAll(string(out), "table ", ""))
}

// tenants is what a maker of containers leaves: two on a bridge that is in a third
// namespace, with a router to a site behind it.
//
//	web, db -- br0 (in host) -- gw -- site          10.0.1.0/24, 10.0.9.0/24
type tenants struct {
	web, db, host, gw, site *somebodys
}

func made() *tenants {
	GinkgoHelper()
	t := &tenants{somebody("web"), somebody("db"), somebody("host"), somebody("gw"), somebody("site")}
	cable(t.web, "eth0", t.host, "w")
	cable(t.db, "eth0", t.host, "d")
	cable(t.gw, "lan", t.host, "g")
	cable(t.gw, "wan", t.site, "eth0")
	t.host.bridge("br0", "w", "d", "g")
	t.host.address("br0", "10.0.1.250/24")
	t.gw.forward()
	t.web.address("eth0", "10.0.1.1/24", "fd00:1::1/64")
	t.db.address("eth0", "10.0.1.2/24", "fd00:1::2/64")
	t.gw.address("lan", "10.0.1.254/24", "fd00:1::fe/64")
	t.gw.address("wan", "10.0.9.254/24", "fd00:9::fe/64")
	t.site.address("eth0", "10.0.9.1/24", "fd00:9::1/64")
	for _, inside := range []*somebodys{t.web, t.db} {
		inside.gateway("10.0.1.254")
		inside.gateway("fd00:1::fe")
	}
	t.site.gateway("10.0.9.254")
	t.site.gateway("fd00:9::fe")
	return t
}

func (t *tenants) all() []*somebodys { return []*somebodys{t.web, t.db, t.host, t.gw, t.site} }

// attach makes one lab of all of them; traced are the names of those that allow a table.
// owned is a kernel whose tables may go with a process, as those of a trace do.
var owned = harness.Kernel(5, 12)

func (t *tenants) attach(traced ...string) *harness.Lab {
	GinkgoHelper()
	return attach(t.all(), traced...)
}

func attach(all []*somebodys, traced ...string) *harness.Lab {
	GinkgoHelper()
	if len(traced) > 0 {
		harness.Require(GinkgoTB(), owned)
	}
	var existing []harness.Existing
	for _, s := range all {
		e := s.existing()
		for _, name := range traced {
			e.Traced = e.Traced || name == s.name
		}
		existing = append(existing, e)
	}
	return harness.AttachLab(GinkgoTB(), "tenants", existing...)
}
