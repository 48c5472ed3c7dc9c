package egress_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/fence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sandbox is what a maker of containers leaves: a bridge in the host, which routes to the
// outside, and three on it: the sandbox, another one, and one that has no fence.
//
//	box, sib, free -- br0 (host) -- outside
type sandbox struct {
	lab   *harness.Lab // attached
	made  map[string]*harness.Node
	world fence.World
	rules rules
	root  string
}

const (
	box4, box6   = "10.0.1.1", "fd00:1::1"
	out4, out6   = "198.51.100.1", "2001:db8:1::1"
	resolver     = "198.51.100.53"
	metadata     = "169.254.169.254"
	private      = "10.77.0.1"
	second       = "10.0.1.65" // the sandbox's own with a bit changed: see fence
	boxMAC       = "0a:00:00:00:00:01"
	boxLinkLocal = "fe80::800:ff:fe00:1"
	socket       = "/run/machine.sock"
)

// build makes the network out of bare namespaces, by hand, and attaches it.
func build(ctx context.Context) *sandbox {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool, harness.Kernel(5, 12)) // of tables that go with a process
	network := topo.New("made")
	names := []string{"box", "sib", "free", "host", "outside"}
	for _, name := range names {
		network.Host(name)
	}
	bare := harness.Up(GinkgoTB(), network)
	s := &sandbox{made: map[string]*harness.Node{}, rules: whole(), root: GinkgoT().TempDir()}
	for _, name := range names {
		s.made[name] = bare.Node(name)
		for _, of := range []string{"all", "default"} { // which the harness turns off where a network has none
			Expect(bare.Node(name).SetSysctl("net.ipv6.conf."+of+".disable_ipv6", "0")).To(Succeed())
		}
	}
	for _, name := range []string{"box", "sib", "free", "outside"} {
		s.pair(name)
	}
	s.bridge("br0", "box", "sib", "free")
	s.give("host", "br0", "10.0.1.254/24", "fd00:1::fe/64")
	s.give("host", "outside", "198.51.100.254/24", "2001:db8:1::fe/64")
	s.give("outside", "eth0", out4+"/24", out6+"/64", resolver+"/24", metadata+"/32", private+"/32")
	for i, name := range []string{"box", "sib", "free"} {
		s.give(name, "eth0", fmt.Sprintf("10.0.1.%d/24", i+1), fmt.Sprintf("fd00:1::%d/64", i+1))
		s.route(name, "0.0.0.0/0", "10.0.1.254")
		s.route(name, "::/0", "fd00:1::fe")
	}
	for _, to := range []string{metadata + "/32", private + "/32"} {
		s.route("host", to, out4)
	}
	s.route("outside", "0.0.0.0/0", "198.51.100.254")
	s.route("outside", "::/0", "2001:db8:1::fe")
	for _, key := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		Expect(s.made["host"].SetSysctl(key, "1")).To(Succeed())
	}
	var existing []harness.Existing
	for _, name := range names {
		existing = append(existing, harness.Existing{Name: name, Path: s.made[name].Path(), Traced: name == "host"})
	}
	s.lab = harness.AttachLab(GinkgoTB(), "sandboxes", existing...)
	s.world = fence.World{
		Outside: s.lab.Node("outside"), Free: s.lab.Node("free"), Gateway: s.lab.Node("host"), Sibling: s.lab.Node("sib"),
		Metadata: netip.MustParseAddr(metadata), Private: netip.MustParseAddr(private), Resolver: netip.MustParseAddr(resolver),
		Root: s.root, Abstract: []string{"nstest-egress"},
	}
	s.programs(ctx)
	for _, to := range []string{out4, out6} { // the first solicitation of a link that has just come up may be lost
		Eventually(probes.Ask).WithContext(ctx).WithTimeout(10*time.Second).
			WithArguments(s.lab.Node("free"), netip.MustParseAddr(to), probes.ICMP()).
			Should(HaveField("Outcome", probes.Answered))
	}
	return s
}

// programs are what is not of packets: a proxy, an older connection, the machine's sockets.
func (s *sandbox) programs(ctx context.Context) {
	GinkgoHelper()
	proxy := netip.MustParseAddrPort("10.0.1.254:3128")
	listener, err := s.made["host"].Listen(ctx, "tcp", proxy)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	go s.proxy(listener)
	s.world.Proxy = &fence.Proxy{Addr: proxy, Allowed: "allowed.example:443", Denied: "denied.example:443"}

	s.world.Before, err = fence.Connect(ctx, s.lab.Node("box"), s.world)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.world.Before.Close)

	path := filepath.Join(GinkgoT().TempDir(), "machine.sock")
	machine, err := net.Listen("unix", path)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(machine.Close)
	s.world.Sockets = []string{path}
	s.abstract("free")
}

// abstract has somebody listen at the abstract name.
func (s *sandbox) abstract(node string) {
	GinkgoHelper()
	Expect(s.made[node].Do(func() error {
		listener, err := net.Listen("unix", "@nstest-egress")
		if err == nil {
			DeferCleanup(listener.Close)
		}
		return err
	})).To(Succeed())
}

// proxy answers CONNECT: yes to what is allowed, and where the rules have that hole to all.
func (s *sandbox) proxy(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		request, err := http.ReadRequest(bufio.NewReader(conn))
		status := "403 Forbidden"
		if err == nil && (request.Host == s.world.Proxy.Allowed || s.rules.open.Load()) {
			status = "200 OK"
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
		_ = conn.Close()
	}
}

// load closes the fence, with holes.
func (s *sandbox) load(holes ...hole) {
	GinkgoHelper()
	Expect(s.made["host"].Nft(s.rules.text(holes...))).To(Succeed())
}

func (s *sandbox) check(ctx context.Context) fence.Report {
	GinkgoHelper()
	report, err := fence.Check(ctx, s.lab.Node("box"), s.world)
	Expect(err).NotTo(HaveOccurred())
	return report
}

// opened are the channels that a report does not call blocked, with what it calls them.
func opened(report fence.Report) (names []string) {
	for _, f := range report.Holes() {
		name := f.Channel
		if f.State != fence.Open {
			name = f.String()
		}
		names = append(names, name)
	}
	return names
}

// pair is a cable from the host to another, whose end is called eth0.
func (s *sandbox) pair(name string) {
	GinkgoHelper()
	file, err := os.Open(s.made[name].Path())
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(file.Fd()))}
	if name == "box" {
		if veth.PeerHardwareAddr, err = net.ParseMAC(boxMAC); err != nil {
			Fail(err.Error())
		}
	}
	Expect(s.made["host"].Netlink().LinkAdd(veth)).To(Succeed())
	s.up("host", name)
	s.up(name, "eth0")
}

func (s *sandbox) link(node, name string) netlink.Link {
	GinkgoHelper()
	link, err := s.made[node].Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	return link
}

func (s *sandbox) up(node, name string) {
	GinkgoHelper()
	Expect(s.made[node].Netlink().LinkSetUp(s.link(node, name))).To(Succeed())
}

func (s *sandbox) bridge(name string, ports ...string) {
	GinkgoHelper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	Expect(s.made["host"].Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs})).To(Succeed())
	s.up("host", name)
	for _, port := range ports {
		Expect(s.made["host"].Netlink().LinkSetMaster(s.link("host", port), s.link("host", name))).To(Succeed())
	}
}

func (s *sandbox) give(node, link string, prefixes ...string) {
	GinkgoHelper()
	for _, prefix := range prefixes {
		addr, err := netlink.ParseAddr(prefix)
		Expect(err).NotTo(HaveOccurred())
		if strings.Contains(prefix, ":") {
			addr.Flags = unix.IFA_F_NODAD
		}
		Expect(s.made[node].Netlink().AddrAdd(s.link(node, link), addr)).To(Succeed(), prefix)
	}
}

func (s *sandbox) route(node, to, via string) {
	GinkgoHelper()
	prefix, err := netlink.ParseIPNet(to)
	Expect(err).NotTo(HaveOccurred())
	Expect(s.made[node].Netlink().RouteAdd(&netlink.Route{Dst: prefix, Gw: netip.MustParseAddr(via).AsSlice()})).To(Succeed())
}
