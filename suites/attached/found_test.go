package attached_test

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var all4 = &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}

func cidr(text string) *net.IPNet {
	GinkgoHelper()
	prefix, err := netlink.ParseIPNet(text)
	Expect(err).NotTo(HaveOccurred())
	return prefix
}

// segments are who is on which segment of a lab, as "br0: web/eth0 db/eth0".
func segments(lab *harness.Lab) (all []string) {
	for _, s := range lab.Plan().Segments {
		var ports []string
		for _, p := range s.Ports {
			ports = append(ports, p.Node+"/"+p.Port)
		}
		all = append(all, s.Name+": "+strings.Join(ports, " "))
	}
	return all
}

var _ = Describe("what is found of attached namespaces", func() {
	It("is who is whose neighbour", func() {
		t := made()
		lab := t.attach()
		Expect(segments(lab)).To(ConsistOf(
			"br0: web/eth0 db/eth0 host/br0 host/w host/d host/g gw/lan",
			"gw:wan: gw/wan site/eth0",
		))
		Expect(segments(attach([]*somebodys{t.web, t.db, t.gw}))).To(ConsistOf( // the bridge is outside
			"web:eth0: web/eth0", "db:eth0: db/eth0", "gw:lan: gw/lan", "gw:wan: gw/wan",
		))
		Expect(lab.Node("web").Addrs()).To(Equal([]netip.Addr{netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("fd00:1::1")}))
		Expect(lab.Node("gw").On("wan").Addrs()[0]).To(Equal(netip.MustParseAddr("10.0.9.254")))
		Expect(lab.Plan().Owners(site4)).To(Equal([]string{"site"}))
		gw, _ := lab.Plan().Node("gw")
		host, _ := lab.Plan().Node("host")
		Expect([]bool{gw.Forward, host.Forward}).To(Equal([]bool{true, false}))
		islands, err := lab.Islands()
		Expect(err).NotTo(HaveOccurred())
		Expect(islands).To(HaveLen(1))
	})

	It("is a pair within one, and none with somebody who is not given", func() {
		a, b := somebody("a"), somebody("b")
		cable(a, "x", a, "y")
		cable(a, "out", b, "in")
		Expect(segments(attach([]*somebodys{a}))).To(ConsistOf("a:y: a/y a/x", "a:out: a/out"))
	})

	It("is read again when it was changed", func() {
		t := made()
		lab := t.attach()
		probes.Serve(GinkgoTB(), lab.Node("site"), web)
		Expect(lab.Node("web")).To(probes.Reach(lab.Node("site"), web))
		t.site.address("eth0", "10.0.9.7/24")
		Expect(lab.Node("site").Addrs()).To(ContainElement(netip.MustParseAddr("10.0.9.7")))

		By("a neighbour that comes while it is watched")
		cable(t.site, "more", t.db, "more")
		t.db.address("more", "10.0.7.2/24")
		t.site.address("more", "10.0.7.1/24")
		Expect(segments(lab)).To(ContainElement(SatisfyAny(Equal("db:more: db/more site/more"), Equal("site:more: db/more site/more"))))
		Expect(lab.Node("db")).To(probes.Reach(lab.Node("site").On("more"), icmp))
		Expect(t.db.Netlink().LinkDel(t.db.link("more"))).To(Succeed())
		Expect(segments(lab)).To(HaveLen(2))

		By("forwarding that is turned off")
		Expect(t.gw.SetSysctl("net.ipv4.ip_forward", "0")).To(Succeed())
		Expect(t.gw.SetSysctl("net.ipv6.conf.all.forwarding", "0")).To(Succeed())
		gw, _ := lab.Plan().Node("gw")
		Expect(gw.Forward).To(BeFalse())
	})

	It("is the same by number, descriptor, path and name", func() {
		a := somebody("a")
		fd, err := unix.PidfdOpen(a.Process.Pid, 0)
		Expect(err).NotTo(HaveOccurred())
		defer unix.Close(fd)
		for _, e := range []harness.Existing{{PID: a.Process.Pid}, {PIDFD: fd}, {Path: a.path()}} {
			e.Name = "a"
			Expect(harness.AttachLab(GinkgoTB(), "lab", e).Node("a").Inode()).To(Equal(a.Inode()))
		}
	})

	It("fails the test with what is wrong with what was given", func() {
		a := somebody("a")
		gone := exec.Command("true")
		Expect(gone.Run()).To(Succeed())
		for want, given := range map[string][]harness.Existing{
			"attach lab x: there is no namespace to attach: pass a harness.Existing for each":               nil,
			"attach lab x: a namespace has no name: set Existing.Name":                                      {{PID: 1}},
			"attach lab x: node a: set one of PID, PIDFD, Path and NetNS, which say where the namespace is": {{Name: "a"}},
			"attach lab x: two namespaces are called a":                                                     {a.existing(), a.existing()},
			"attach lab x: a and b are one namespace: attach it once":                                       {a.existing(), {Name: "b", Path: a.path()}},
			"attach lab x: node a: /proc/version is no network namespace":                                   {{Name: "a", Path: "/proc/version"}},
			"attach lab x: node a: open /run/netns/nobody-has-this: no such file or directory":              {{Name: "a", NetNS: "nobody-has-this"}},
			`attach lab x: node a: "../x" is no name in /run/netns: set Path`:                               {{Name: "a", NetNS: "../x"}},
		} {
			Expect(fatal(func(tb harness.TB) { harness.AttachLab(tb, "x", given...) })).To(Equal(want))
		}
		Expect(fatal(func(tb harness.TB) { harness.AttachLab(tb, "x", harness.Existing{Name: "a", PID: gone.Process.Pid}) })).To(ContainSubstring("no such file or directory"))
		null, err := os.Open(os.DevNull)
		Expect(err).NotTo(HaveOccurred())
		defer null.Close()
		Expect(fatal(func(tb harness.TB) { harness.AttachLab(tb, "x", harness.Existing{Name: "a", PIDFD: int(null.Fd())}) })).To(ContainSubstring("no descriptor of a process"))
	})

	It("is never configured", func() {
		t := made()
		before := map[string]string{}
		for _, s := range t.all() {
			before[s.name] = state(s)
		}
		lab := t.attach()
		Expect(lab.Node("web")).To(probes.Reach(lab.Node("site"), icmp))
		Expect(lab.Node("web").Port("br0").Down()).To(MatchError(ContainSubstring("never configured")))
		lab.Down()
		for _, s := range t.all() {
			Expect(state(s)).To(Equal(before[s.name]), s.name)
		}
	})
})

// state is what lasts of a namespace, by ip and the files of its sysctls, in no order.
func state(s *somebodys) string {
	GinkgoHelper()
	var all []string
	for _, of := range [][]string{{"addr"}, {"route", "show", "table", "all"}, {"-6", "route", "show", "table", "all"}, {"rule"}} {
		out, err := s.Command("ip", of...).Output()
		Expect(err).NotTo(HaveOccurred())
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "fe80:") && !strings.Contains(line, "anycast") && !strings.Contains(line, "multicast") {
				all = append(all, line) // what the kernel adds when a link gets its carrier comes in its own time
			}
		}
	}
	slices.Sort(all)
	Expect(s.Do(func() error {
		for _, pattern := range []string{"/proc/sys/net/ipv4/*", "/proc/sys/net/ipv4/conf/*/*", "/proc/sys/net/ipv6/conf/*/*"} {
			files, err := filepath.Glob(pattern)
			if err != nil {
				return err
			}
			for _, file := range files {
				if text, err := os.ReadFile(file); err == nil {
					all = append(all, file+" "+string(text))
				}
			}
		}
		return nil
	})).To(Succeed())
	return strings.Join(all, "\n")
}
