package namespaces_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// list are the namespaces that processes of these specs are in. Others' are left
// out: the kernel gives the number of one that is gone to the next.
func list() (names []string) {
	// Not by the threads' lists of children: when a thread ends, its children are
	// another's, whose list may have been read by then.
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, _ := os.ReadFile(file)
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // state, parent: proc(5)
		if len(fields) < 2 || fields[1] != fmt.Sprint(os.Getpid()) {
			continue
		}
		if name, err := os.Readlink(filepath.Join(filepath.Dir(file), "ns/net")); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// name is how /proc calls a namespace.
func name(node *harness.Node) string { return fmt.Sprintf("net:[%d]", node.Inode()) }

var _ = Describe("a network namespace", func() {
	It("is something that the kernel supports", func() {
		Expect("/proc/self/ns/net").To(BeAnExistingFile())
		Expect("/proc/sys/user/max_net_namespaces").To(BeAnExistingFile())
		own, err := os.Readlink("/proc/self/ns/net")
		Expect(err).NotTo(HaveOccurred())
		Expect(name(bear("another").Node)).NotTo(Equal(own))
	})

	It("is created, listed and deleted", func() {
		first, second := bear("first"), bear("second")
		Expect(first.Inode()).NotTo(Equal(second.Inode()))
		Expect(list()).To(ContainElements(name(first.Node), name(second.Node)))
		first.delete()
		Expect(first.file()).NotTo(BeAnExistingFile())
		Expect(list()).To(And(ContainElement(name(second.Node)), Not(ContainElement(name(first.Node)))))
		Expect(second.file()).To(BeAnExistingFile())
	})

	It("is kept by a descriptor when no process is in it any more", func() {
		outside, within := connected()
		within.leave()
		Expect(list()).NotTo(ContainElement(name(within.Node)))
		Expect(ask(outside, v4.within, probes.ICMP()).Outcome).To(Equal(probes.Answered))
		By("closing it")
		within.Lab().Down()
		Eventually(outside.links, "20s").Should(ConsistOf("lo"))
	})

	// As ip-netns(8) does it: a name is a mount of the namespace's file.
	It("is kept by a name when no process is in it any more", func() {
		inOwnMounts(func() {
			const file = "/run/netns/blue"
			Expect(unix.Mount("tmpfs", "/run", "tmpfs", 0, "")).To(Succeed())
			Expect(os.Mkdir(filepath.Dir(file), 0o755)).To(Succeed())
			Expect(os.WriteFile(file, nil, 0o444)).To(Succeed())
			outside, within := connected()
			Expect(unix.Mount(within.file(), file, "", unix.MS_BIND, "")).To(Succeed())
			within.delete()

			named := harness.Attach(GinkgoTB(), "blue", file)
			Expect(named.Inode()).To(Equal(within.Inode()))
			Expect(ask(outside, v4.within, probes.ICMP()).Outcome).To(Equal(probes.Answered))
			named.Lab().Down()
			Consistently(outside.links, "50ms").Should(ConsistOf("lo", "near"))

			By("taking the name away")
			Expect(unix.Unmount(file, 0)).To(Succeed())
			Expect(os.Remove(file)).To(Succeed())
			Eventually(outside.links, "20s").Should(ConsistOf("lo"))
		})
	})

	It("has a loopback when it is new, and nothing else, and that is down", func() {
		node := bear("new")
		Expect(node.links()).To(ConsistOf("lo"))
		Expect(node.link("lo").Attrs().RawFlags & unix.IFF_UP).To(BeZero())
		Expect(node.addresses("lo")).To(BeEmpty())
		By("setting it up, as the control")
		node.up("lo")
		Expect(node.link("lo").Attrs().RawFlags & unix.IFF_UP).NotTo(BeZero())
		Expect(node.addresses("lo")).To(ContainElement("127.0.0.1/8"))
	})

	DescribeTable("keeps a process from reaching itself while the loopback is down,",
		func(f family, itself string) {
			f.require()
			node := bear("new")
			for _, p := range []probes.Probe{probes.ICMP(), probes.TCP(80), probes.UDP(53)} {
				Expect(ask(node, itself, p)).To(Or(unsent(unix.ENETUNREACH), unsent(unix.EADDRNOTAVAIL)))
			}
			By("setting it up, as the control")
			node.up("lo")
			settled(node, itself)
			Expect(ask(node, itself, probes.TCP(80)).Outcome).To(Equal(probes.Refused), "nobody listens")
			probes.Serve(GinkgoTB(), node.Node, probes.TCP(80), probes.UDP(53))
			Expect(ask(node, itself, probes.TCP(80).Within(soon)).Outcome).To(Equal(probes.Answered))
			Expect(ask(node, itself, probes.UDP(53).Within(soon)).Outcome).To(Equal(probes.Answered))
		},
		Entry("in IPv4", v4, "127.0.0.1"),
		Entry("in IPv6", v6, "::1"),
	)

	It("runs a command inside", func() {
		node := bear("inside")
		for command, want := range map[string]string{
			"readlink /proc/self/ns/net": name(node.Node) + "\n",
			"ls /sys/class/net":          "lo\n",
		} {
			words := strings.Fields(command)
			out, err := node.Command(words[0], words[1:]...).Output()
			Expect(err).NotTo(HaveOccurred())
			Expect(string(out)).To(Equal(want))
		}
	})

	It("takes its pairs along when it is deleted", func() {
		outside, within := connected()
		outside.pair("another", "pair")
		Expect(outside.links()).To(ConsistOf("lo", "near", "another", "pair"))
		within.delete()
		Eventually(outside.links, "20s").Should(ConsistOf("lo", "another", "pair"))
	})
})
