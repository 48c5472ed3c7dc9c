package verdicts_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// xmas is the segment of a scan that has the lights on.
const xmas = probes.FIN | probes.PSH | probes.URG

// segments writes down the flags of each TCP segment that comes to a node's ports 80 and 81: a
// plain raw socket, which is the judge.
type segments struct {
	mu    sync.Mutex
	flags []probes.TCPFlags
}

func segmentsAt(node *harness.Node, v6 bool) *segments {
	GinkgoHelper()
	s := new(segments)
	hearRaw(node, v6, unix.IPPROTO_TCP, func(_ int, packet []byte, _ unix.Sockaddr) {
		if len(packet) < 20 || binary.BigEndian.Uint16(packet[2:])&^1 != 80 {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flags = append(s.flags, probes.TCPFlags(packet[13]))
	})
	return s
}

// hearRaw has a function called with all that comes to a plain raw socket of a node, from the protocol's header on, as long as the
// spec runs. It may answer by the socket.
func hearRaw(node *harness.Node, v6 bool, protocol int, heard func(fd int, packet []byte, from unix.Sockaddr)) {
	GinkgoHelper()
	domain := unix.AF_INET
	if v6 {
		domain = unix.AF_INET6
	}
	var fd int
	Expect(node.Do(func() (err error) {
		fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		return err
	})).To(Succeed())
	Expect(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})).To(Succeed())
	stop, stopped := make(chan struct{}), make(chan struct{})
	DeferCleanup(func() {
		close(stop)
		<-stopped
		Expect(unix.Close(fd)).To(Succeed())
	})
	go func() {
		defer close(stopped)
		for buf := make([]byte, 2048); ; {
			select {
			case <-stop:
				return
			default:
			}
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
				continue
			}
			packet := buf[:max(n, 0)]
			if !v6 && n > 20 {
				packet = packet[int(packet[0]&15)*4:]
			}
			heard(fd, packet, from)
		}
	}()
}

// heard says which flags came first; false where nothing came.
func (s *segments) heard(flags probes.TCPFlags) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Contains(s.flags, flags)
	}
}

// stateless is pc, a router with rules, and site with a plain listener at port 80, of both
// families.
func stateless(rules string) *site {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.IPv6)
	s := &site{network: topo.New("office")}
	s.lan, s.wan = s.network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), s.network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
	s.network.Host("pc", s.lan)
	s.network.Host("site", s.wan)
	s.fw = s.network.Router("fw", s.lan, s.wan)
	if rules != "" {
		s.fw.Nft(rules)
	}
	s.up()
	listener, err := s.node("site").Listen(context.Background(), "tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), 80))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	return s
}

var bothFamilies = []netip.Addr{site4, netip.MustParseAddr("fd00:9::1")}

var _ = Describe("a TCP segment of no connection", func() {
	DescribeTable("arrives where nothing stops it, and TCP says of it what it says", func(ctx SpecContext, flags probes.TCPFlags, listening, closed probes.Outcome) {
		s := stateless("")
		for _, addr := range bothFamilies {
			judge := segmentsAt(s.node("site"), addr.Is6())
			for port, want := range map[uint16]probes.Outcome{80: listening, 81: closed} {
				p := probes.Segment(port, flags).Within(silence)
				bare, err := probes.Ask(ctx, s.node("pc"), addr, p)
				Expect(err).NotTo(HaveOccurred())
				Expect(bare.Outcome).To(Equal(want), "%s", bare)
				r, err := probes.Watch(ctx, s.node("pc"), addr, p)
				Expect(err).NotTo(HaveOccurred())
				Expect(r.Outcome).To(Equal(want), "%s", r)
				Eventually(judge.heard(flags)).WithTimeout(5*time.Second).Should(BeTrue(), "the judge: a plain raw socket has it")
				switch {
				case want == probes.Answered:
					Expect(r).To(probes.Reach(addr, p))
				case flags == probes.SYN:
					Expect(r.Cause).To(HaveValue(HaveField("Kind", evidence.NoListener)))
				default:
					Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.NoConnection), HaveField("Node", "site"))), "%s", r.Cause)
				}
				if want != probes.Silent {
					Expect(r.By).To(Equal("site"))
					Expect(r.Proven).To(BeTrue())
				}
				isolated, err := probes.BeIsolatedFrom(addr, p).WithContext(ctx).Match(s.node("pc"))
				Expect(isolated).To(BeFalse())
				if flags != probes.SYN { // of which a closed port says that nobody listens
					Expect(err).NotTo(HaveOccurred(), "it is delivered, without a doubt")
				}
				if want == probes.Refused {
					Expect(s.node("pc")).To(probes.BeRefusedBy(addr, p).WithContext(ctx))
				}
			}
		}
	},
		Entry("SYN", probes.SYN, probes.Answered, probes.Refused),
		Entry("ACK", probes.ACK, probes.Refused, probes.Refused),
		Entry("SYN,ACK", probes.SYN|probes.ACK, probes.Refused, probes.Refused),
		Entry("FIN", probes.FIN, probes.Silent, probes.Refused),
		Entry("none", probes.TCPFlags(0), probes.Silent, probes.Refused),
		Entry("xmas", xmas, probes.Silent, probes.Refused),
		Entry("RST", probes.RST, probes.Silent, probes.Silent),
		Entry("RST,ACK", probes.RST|probes.ACK, probes.Silent, probes.Silent),
	)

	DescribeTable("is told from others by a filter that knows no connections", func(ctx SpecContext, rule string, dropped, passed []probes.TCPFlags) {
		s := stateless("table inet filter { chain forward { type filter hook forward priority 0; " + rule + ` drop comment "flags"; }; }`)
		for _, addr := range bothFamilies {
			judge := segmentsAt(s.node("site"), addr.Is6())
			for _, flags := range dropped {
				Expect(s.node("pc")).To(probes.BeIsolatedFrom(addr, probes.Segment(80, flags)).At("fw").By("flags").WithContext(ctx), "%s", flags)
				Expect(judge.heard(flags)()).To(BeFalse(), "the judge: %s", flags)
			}
			for _, flags := range passed {
				Expect(holds(probes.BeIsolatedFrom(addr, probes.Segment(80, flags).Within(silence)).WithContext(ctx), s.node("pc"))).To(BeFalse(), "%s", flags)
				Eventually(judge.heard(flags)).WithTimeout(5*time.Second).Should(BeTrue(), "the judge: %s", flags)
			}
		}
	},
		Entry("what opens a connection", "tcp flags & (fin|syn|rst|ack) == syn", []probes.TCPFlags{probes.SYN}, []probes.TCPFlags{probes.ACK, probes.FIN, xmas, 0}),
		Entry("what goes on with one", "tcp flags & ack == ack", []probes.TCPFlags{probes.ACK, probes.SYN | probes.ACK}, []probes.TCPFlags{probes.SYN, probes.RST, 0}),
		Entry("scans", "tcp flags { fin, 0x0, fin|psh|urg }", []probes.TCPFlags{probes.FIN, 0, xmas}, []probes.TCPFlags{probes.SYN, probes.ACK}),
		Entry("what conntrack calls invalid", "meta l4proto tcp ct state invalid", []probes.TCPFlags{probes.FIN, 0, xmas, probes.SYN | probes.ACK}, []probes.TCPFlags{probes.SYN, probes.ACK}),
	)

	It("is stopped by a filter that knows connections, whatever its flags", func(ctx SpecContext) {
		s := stateless("table inet filter { chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }")
		judge := segmentsAt(s.node("site"), false)
		for _, flags := range []probes.TCPFlags{probes.SYN, probes.ACK, probes.SYN | probes.ACK, probes.FIN, probes.RST, 0, xmas} {
			Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), probes.Segment(80, flags)).At("fw").WithContext(ctx), "%s", flags)
			Expect(judge.heard(flags)()).To(BeFalse(), "the judge: %s", flags)
		}
	})

	It("is rejected by who rejects it", func(ctx SpecContext) {
		for _, rule := range []string{"reject", "reject with tcp reset"} {
			s := stateless(drop("tcp flags & ack == ack " + rule))
			Expect(s.node("pc")).To(probes.BeRejectedBy("fw", s.node("site"), probes.Segment(80, probes.ACK)).WithContext(ctx))
			Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), probes.Segment(80, probes.ACK)).At("fw").WithContext(ctx))
		}
	})

	It("arrives where only the reset is stopped", func(ctx SpecContext) {
		s := stateless(drop(`tcp sport 80 tcp flags & rst == rst drop comment "no resets"`))
		judge := segmentsAt(s.node("site"), false)
		p := probes.Segment(80, probes.ACK).Within(silence)
		Expect(s.node("pc")).To(probes.BeUnansweredBy(s.node("site"), p).At("fw").By("no resets").WithContext(ctx))
		Expect(judge.heard(probes.ACK)()).To(BeTrue(), "the judge")
		Expect(holds(probes.BeIsolatedFrom(s.node("site"), p).WithContext(ctx), s.node("pc"))).To(BeFalse())
	})

	It("arrives where the host's own rules stop its reset", func(ctx SpecContext) {
		s := stateless("")
		Expect(s.node("site").Nft(`table inet f { chain out { type filter hook output priority 0; tcp flags & rst == rst drop comment "mute"; }; }`)).To(Succeed())
		p := probes.Segment(80, probes.ACK).Within(silence)
		Expect(s.node("pc")).To(probes.BeUnansweredBy(s.node("site"), p).At("site").By("mute").WithContext(ctx))
	})

	DescribeTable("is not said to be unanswered by what stops its reset but now", func(ctx SpecContext, rules, why string) {
		s := stateless(drop(rules))
		ok, err := probes.BeUnansweredBy(s.node("site"), probes.Segment(80, probes.ACK).Within(silence)).WithContext(ctx).Match(s.node("pc"))
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("a limit", `oifname "lan" tcp flags rst limit rate over 1/hour burst 1 packets drop`, "depends on a limit"),
		Entry("what a limit leaves over", `oifname "lan" tcp flags rst limit rate 1/hour burst 1 packets accept; oifname "lan" meta l4proto tcp drop`, "depends on a limit"),
		Entry("chance", `oifname "lan" tcp flags rst numgen random mod 100000 != 0 drop`, "depends on a random number"),
		Entry("a port of the asker's", `oifname "lan" tcp dport > 1024 drop`, "port 1024"),
	)

	DescribeTable("is not said to have arrived where another took it", func(ctx SpecContext, p probes.Probe) {
		s := stateless("")
		Expect(s.node("fw").Nft("table inet r { chain pre { type nat hook prerouting priority -100; meta l4proto { tcp, udp } th dport 80 redirect to :8080; }; }")).To(Succeed())
		judge := segmentsAt(s.node("site"), false)
		wildcard(s.node("fw"), "udp", 8080)
		ok, err := probes.BeIsolatedFrom(s.node("site"), p.Within(silence)).WithContext(ctx).Match(s.node("pc"))
		Expect(ok).To(BeFalse())
		Expect(err).To(HaveOccurred(), "neither yes nor no")
		Expect(judge.heard(probes.ACK)()).To(BeFalse(), "the judge")
	},
		Entry("a segment", probes.Segment(80, probes.ACK)),
		Entry("a datagram", probes.UDP(80)),
	)

	It("meets a host's own firewall, which stops neighbour discovery as well", func(ctx SpecContext) {
		s := neighbours("table inet f { chain input { type filter hook input priority 0; policy drop; }; }")
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("peer"), probes.Segment(80, probes.ACK).Within(silence)).At("peer").WithContext(ctx))
	})

	It("is sent as it says", func(ctx SpecContext) {
		s := stateless(drop(`tcp sport 4000 ip dscp 46 ip ttl 8 tcp flags fin drop comment "this one"`))
		p := probes.Segment(80, probes.FIN).FromPort(4000).DSCP(46).TTL(9)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(site4, p).By("this one").WithContext(ctx))
	})
})
