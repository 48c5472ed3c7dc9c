package namespaces_test

import (
	"fmt"
	"os/exec"

	"github.com/nstest/nstest/harness"
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
	n.Node = harness.Attach(GinkgoTB(), name, fmt.Sprintf("/proc/%d/ns/net", n.pid))
	return n
}

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
	Expect(n.Netlink().AddrAdd(n.link(name), addr)).To(Succeed())
}

// move puts an interface into another namespace, and returns what the kernel says.
func (n newborn) move(name string, to newborn) error {
	GinkgoHelper()
	fd, err := unix.Open(to.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	Expect(err).NotTo(HaveOccurred())
	defer unix.Close(fd)
	return n.Netlink().LinkSetNsFd(n.link(name), fd)
}

// pair makes a veth pair in the namespace.
func (n newborn) pair(name, peer string) {
	GinkgoHelper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	Expect(n.Netlink().LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer})).To(Succeed())
}

// connected are two namespaces with a pair between them, up, with addresses.
func connected() (outside, within newborn) {
	GinkgoHelper()
	outside, within = bear("outside"), bear("inside")
	outside.pair("near", "far")
	Expect(outside.move("far", within)).To(Succeed())
	outside.address("near", "10.0.0.1/24")
	within.address("far", "10.0.0.2/24")
	for _, name := range []string{"lo", "near"} {
		outside.up(name)
	}
	for _, name := range []string{"lo", "far"} {
		within.up(name)
	}
	return outside, within
}
