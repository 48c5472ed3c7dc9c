package namespaces_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newborn is a network namespace as the kernel makes it: nobody has configured
// it. A process that only waits holds it, and ends with the spec.
type newborn struct {
	*harness.Node
	pid   int
	leave func() // ends the process
}

func bear(name string) newborn {
	GinkgoHelper()
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	stdin, err := cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	ended := false
	n := newborn{pid: cmd.Process.Pid}
	n.leave = func() {
		if !ended {
			ended = true
			_ = stdin.Close()
			_ = cmd.Wait()
		}
	}
	DeferCleanup(n.leave)
	n.Node = harness.Attach(GinkgoTB(), name, n.file())
	return n
}

// file is the file that stands for the namespace while its process is there.
func (n newborn) file() string { return fmt.Sprintf("/proc/%d/ns/net", n.pid) }

// delete takes the namespace away: nothing holds it any more.
func (n newborn) delete() {
	n.Lab().Down()
	n.leave()
}

// links are the names of the interfaces in the namespace.
func (n newborn) links() []string {
	GinkgoHelper()
	links, err := n.Netlink().LinkList()
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, link := range links {
		names = append(names, link.Attrs().Name)
	}
	return names
}

func (n newborn) link(name string) netlink.Link {
	GinkgoHelper()
	link, err := n.Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	return link
}

func (n newborn) up(name string) {
	GinkgoHelper()
	Expect(n.Netlink().LinkSetUp(n.link(name))).To(Succeed())
}

func (n newborn) address(name, prefix string) {
	GinkgoHelper()
	addr, err := netlink.ParseAddr(prefix)
	Expect(err).NotTo(HaveOccurred())
	if addr.IP.To4() == nil {
		addr.Flags = unix.IFA_F_NODAD // usable at once
	}
	Expect(n.Netlink().AddrAdd(n.link(name), addr)).To(Succeed())
}

// addresses are those on an interface, but for the link-local ones that the
// kernel makes.
func (n newborn) addresses(name string) (texts []string) {
	GinkgoHelper()
	addrs, err := n.Netlink().AddrList(n.link(name), netlink.FAMILY_ALL)
	Expect(err).NotTo(HaveOccurred())
	for _, addr := range addrs {
		if !addr.IP.IsLinkLocalUnicast() {
			texts = append(texts, addr.IPNet.String())
		}
	}
	return texts
}

// route adds a route, through a gateway or over an interface.
func (n newborn) route(to, via, dev string) {
	GinkgoHelper()
	_, prefix, err := net.ParseCIDR(to)
	Expect(err).NotTo(HaveOccurred())
	route := &netlink.Route{Dst: prefix, Gw: net.ParseIP(via)}
	if dev != "" {
		route.LinkIndex, route.Scope = n.link(dev).Attrs().Index, netlink.SCOPE_LINK
	}
	Expect(n.Netlink().RouteAdd(route)).To(Succeed())
}

// routed says whether the namespace would know where to send.
func (n newborn) routed(addr string) error {
	_, err := n.Netlink().RouteGet(net.ParseIP(addr))
	return err
}

// move puts an interface into another namespace, and returns what the kernel says.
func (n newborn) move(name string, to newborn) error {
	GinkgoHelper()
	fd, err := unix.Open(to.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	Expect(err).NotTo(HaveOccurred())
	defer unix.Close(fd)
	link := n.link(name)
	// By a socket of its own, which asks for the kernel's words: see words_test.go.
	return n.Do(func() error { return netlink.LinkSetNsFd(link, fd) })
}

// pair makes a veth pair in the namespace.
func (n newborn) pair(name, peer string) {
	GinkgoHelper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	Expect(n.Netlink().LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer})).To(Succeed())
}

// connected are two namespaces with a pair between them, up, with addresses of
// both families, and packets pass.
func connected() (outside, within newborn) {
	GinkgoHelper()
	outside, within = bear("outside"), bear("inside")
	_, err := os.Stat("/proc/sys/net/ipv6")
	ipv6 := err == nil
	for _, n := range []newborn{outside, within} {
		for _, key := range []string{"net.ipv6.conf.all.accept_dad", "net.ipv6.conf.default.accept_dad"} {
			if ipv6 {
				Expect(n.SetSysctl(key, "0")).To(Succeed())
			}
		}
		n.up("lo")
	}
	outside.pair("near", "far")
	Expect(outside.move("far", within)).To(Succeed())
	for _, f := range []family{v4, v6} {
		if f != v6 || ipv6 {
			outside.address("near", f.outside+f.bits)
			within.address("far", f.within+f.bits)
		}
	}
	outside.up("near")
	within.up("far")
	settle(outside, within, ipv6)
	return outside, within
}

// settle waits until packets pass. Both ends are up; the kernel acts upon their
// carrier a moment later, or when it is asked about the link.
func settle(outside, within newborn, ipv6 bool) {
	GinkgoHelper()
	outside.link("near")
	within.link("far")
	for _, f := range []family{v4, v6} {
		if f != v6 || ipv6 {
			settled(outside, f.within)
		}
	}
}

// settled waits until an address answers that is to do so from now on. An IPv6
// address is one only when a work item of the kernel has run.
func settled(from newborn, addr string) {
	GinkgoHelper()
	Eventually(func() probes.Outcome {
		return ask(from, addr, probes.ICMP().Within(quick)).Outcome
	}, "20s").Should(Equal(probes.Answered))
}

// family is addresses of one family.
type family struct {
	outside, within, bits string // the pair's
	other, others         string // one of another interface, and its prefix
	nowhere               string // a prefix that nobody has
	inNowhere             string
}

var (
	v4 = family{"10.0.0.1", "10.0.0.2", "/24", "192.168.7.1", "192.168.7.0/24", "10.7.0.0/16", "10.7.0.1"}
	v6 = family{"fd00::1", "fd00::2", "/64", "fd00:7::1", "fd00:7::/64", "fd07::/32", "fd07::1"}
)

// require skips where the kernel lacks the family.
func (f family) require() {
	if f == v6 {
		harness.Require(GinkgoTB(), harness.IPv6)
	}
}

// quick is for what nobody is to answer, and soon is when a responder has long had its
// turn, however busy the machine.
const (
	quick = 200 * time.Millisecond
	soon  = 25 * time.Second
)

func ask(from newborn, addr string, p probes.Probe) probes.Result {
	GinkgoHelper()
	result, err := probes.Ask(GinkgoT().Context(), from.Node, netip.MustParseAddr(addr), p)
	Expect(err).NotTo(HaveOccurred())
	return result
}

// unsent is what a probe comes to that has no way out.
func unsent(errno unix.Errno) OmegaMatcher {
	return And(HaveField("Outcome", probes.Unsent), HaveField("Errno", errno))
}
