package verdicts_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// ngap is a port of SCTP's that base stations of mobile networks ask at.
const ngap = 38412

var association = probes.SCTP(ngap)

// associations are a node's end of SCTP: a plain raw socket that writes down at which ports somebody
// asks with an INIT chunk, which is the judge, and answers at its own, unless the kernel does.
type associations struct {
	mu    sync.Mutex
	v6    bool
	ports []uint16 // that it answers at; others it aborts
	mute  bool
	asked []uint16 // where
}

// associate has a node speak SCTP at ports.
func associate(node *harness.Node, v6 bool, ports ...uint16) *associations {
	GinkgoHelper()
	s := &associations{ports: ports, v6: v6}
	if speaksSCTP(node) {
		s.mute = true
		s.listen(node)
	}
	hearRaw(node, v6, unix.IPPROTO_SCTP, s.hear)
	return s
}

// listen has the node's kernel answer, where it has SCTP: it would abort what a program answers.
func (s *associations) listen(node *harness.Node) {
	GinkgoHelper()
	for _, port := range s.ports {
		domain, at := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(port)})
		if s.v6 {
			domain, at = unix.AF_INET6, &unix.SockaddrInet6{Port: int(port)}
		}
		Expect(node.Do(func() error {
			fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
			if err != nil {
				return err
			}
			DeferCleanup(unix.Close, fd)
			return errors.Join(unix.Bind(fd, at), unix.Listen(fd, 1))
		})).To(Succeed())
	}
}

// hear writes down an INIT whose checksum is right, and answers it (RFC 9260, 5.1 and 8.4).
func (s *associations) hear(fd int, packet []byte, from unix.Sockaddr) {
	const header, initChunk, initAck, abort, size = 12, 1, 2, 6, 20
	if len(packet) < header+size || packet[header] != initChunk {
		return
	}
	sum := binary.LittleEndian.Uint32(packet[8:])
	clear(packet[8:header])
	if crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return
	}
	port := binary.BigEndian.Uint16(packet[2:])
	s.mu.Lock()
	s.asked = append(s.asked, port)
	mute := s.mute
	s.mu.Unlock()
	if mute {
		return
	}
	reply := slices.Clone(packet[:header+size])
	copy(reply, packet[2:4])
	copy(reply[2:], packet[:2])
	copy(reply[4:8], packet[header+4:])
	reply[header] = initAck
	binary.BigEndian.PutUint32(reply[header+4:], 0x01020304) // a tag of its own
	if !slices.Contains(s.ports, port) {
		reply = reply[:header+4]
		reply[header], reply[header+3] = abort, 4
	}
	binary.LittleEndian.PutUint32(reply[8:], crc32.Checksum(reply, crc32.MakeTable(crc32.Castagnoli)))
	switch to := from.(type) { // a raw socket sends to no port
	case *unix.SockaddrInet4:
		to.Port = 0
	case *unix.SockaddrInet6:
		to.Port = 0
	}
	_ = unix.Sendto(fd, reply, 0, from)
}

// quiet has it answer nothing from now on.
func (s *associations) quiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = true
}

// heard says whether somebody asked at a port.
func (s *associations) heard(port uint16) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Contains(s.asked, port)
	}
}

// spoken is pc, a router with rules, and site with SCTP at its port.
func spoken(rules string, v6 bool) (*site, netip.Addr, *associations) {
	GinkgoHelper()
	s := stateless(rules)
	at := bothFamilies[0]
	if v6 {
		at = bothFamilies[1]
	}
	return s, at, associate(s.node("site"), v6, ngap)
}

var _ = Describe("an association of SCTP", func() {
	for family, v6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		Context("over "+family, func() {
			It("is answered where nothing stops it, and refused at a port that nobody has", func(ctx SpecContext) {
				s, to, judge := spoken("", v6)
				Expect(s.node("pc")).To(probes.Reach(to, association.Within(soon)).WithContext(ctx))
				Expect(judge.heard(ngap)()).To(BeTrue(), "the judge")
				r, err := probes.Ask(ctx, s.node("pc"), to, association.Within(soon))
				Expect(err).NotTo(HaveOccurred())
				Expect(r.Outcome).To(Equal(probes.Answered), "unwatched: %s", r)
				Expect(s.node("pc")).To(probes.BeRefusedBy(to, probes.SCTP(9).Within(soon)).WithContext(ctx))
				Expect(judge.heard(9)()).To(BeTrue(), "the judge")
				r, err = probes.Watch(ctx, s.node("pc"), to, probes.SCTP(9).Within(soon))
				Expect(err).NotTo(HaveOccurred())
				Expect(r.Cause).To(HaveValue(HaveField("Kind", evidence.NoListener)))
				Expect(r.Cause.String()).To(ContainSubstring("refused at site/wan: nobody has port 9"))
			})

			DescribeTable("is isolated by a rule about it, which is named", func(ctx SpecContext, rule, by string) {
				s, to, judge := spoken(drop(rule), v6)
				Expect(s.node("pc")).To(probes.BeIsolatedFrom(to, association.Within(soon)).At("fw").By(by).WithContext(ctx))
				Expect(judge.heard(ngap)()).To(BeFalse(), "the judge")
			},
				Entry("by the port", "sctp dport 38412 drop", "sctp dport 38412 drop"),
				Entry("by the protocol", "meta l4proto sctp drop", "meta l4proto sctp drop"),
				Entry("by the port of any protocol", `meta l4proto { tcp, sctp } th dport 38412 drop comment "a port"`, "a port"),
				Entry("as a new connection", `meta l4proto sctp ct state new drop comment "none"`, "none"),
			)

			It("is not isolated by a rule about another port, or what conntrack takes for invalid", func(ctx SpecContext) {
				s, to, judge := spoken(drop("sctp dport 38411 drop; tcp dport 38412 drop; meta l4proto sctp ct state invalid drop"), v6)
				Expect(holds(probes.BeIsolatedFrom(to, association).WithContext(ctx), s.node("pc"))).To(BeFalse())
				Expect(s.node("pc")).To(probes.Reach(to, association.Within(soon)).WithContext(ctx))
				Expect(judge.heard(ngap)()).To(BeTrue(), "the judge")
			})

			It("is not isolated by a rule about its chunk, as a program may send another", func(ctx SpecContext) {
				s, to, _ := spoken(drop(`meta l4proto sctp @th,96,8 1 drop comment "no INIT"`), v6)
				notIsolated(ctx, s.node("pc"), to, association.Within(soon), "no INIT", "which any program may choose")
			})

			It("arrives where its answer alone is stopped", func(ctx SpecContext) {
				s, to, judge := spoken(drop(`sctp sport 38412 drop comment "no answers"`), v6)
				p := association.Within(soon)
				Expect(s.node("pc")).To(probes.BeUnansweredBy(to, p).At("fw").By("no answers").WithContext(ctx))
				Expect(judge.heard(ngap)()).To(BeTrue(), "the judge")
				Expect(holds(probes.BeIsolatedFrom(to, p).WithContext(ctx), s.node("pc"))).To(BeFalse())
			})

			It("is rejected by who rejects it, by a rule that is named", func(ctx SpecContext) {
				s, to, judge := spoken(drop(`sctp dport 38412 reject`), v6)
				p := association.Within(soon)
				Expect(s.node("pc")).To(probes.BeRejectedBy("fw", to, p).WithContext(ctx))
				Expect(s.node("pc")).To(probes.BeIsolatedFrom(to, p).At("fw").By("sctp dport 38412 reject").WithContext(ctx))
				Expect(judge.heard(ngap)()).To(BeFalse(), "the judge")
			})

			It("is refused by a node that has no SCTP, of which ICMP tells", func(ctx SpecContext) {
				s := stateless("")
				to := bothFamilies[map[bool]int{true: 1}[v6]]
				if speaksSCTP(s.node("site")) {
					Expect(s.node("pc")).To(probes.BeRefusedBy(to, association.Within(soon)).WithContext(ctx))
					return
				}
				r, err := probes.Watch(ctx, s.node("pc"), to, association.Within(soon))
				Expect(err).NotTo(HaveOccurred())
				Expect(r.Outcome).To(Equal(probes.Refused))
				Expect(r.Cause.String()).To(ContainSubstring("refused at site/wan: nobody there speaks the protocol"))
				Expect(holds(probes.BeIsolatedFrom(to, association.Within(soon)).WithContext(ctx), s.node("pc"))).To(BeFalse())
			})
		})
	}

	It("is not said to be isolated where a program reads it and says nothing", func(ctx SpecContext) {
		s, to, judge := spoken("", false)
		if speaksSCTP(s.node("site")) { // then its kernel is never silent
			Expect(s.node("pc")).To(probes.Reach(to, association.Within(soon)).WithContext(ctx))
			return
		}
		judge.quiet()
		notIsolated(ctx, s.node("pc"), to, association.Within(silence), "a raw socket may have read it")
		Eventually(judge.heard(ngap)).WithTimeout(soon).Should(BeTrue(), "the judge")
	})

	It("is isolated by a rule of iptables, in its own words", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.IptablesTool)
		s, to, judge := spoken("", false)
		Expect(s.node("fw").Iptables("*filter\n-A FORWARD -p sctp -m sctp --dport 38412 -j DROP\nCOMMIT\n")).To(Succeed())
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(to, association.Within(soon)).At("fw").By("-A FORWARD -p sctp -m sctp --dport 38412 -j DROP").WithContext(ctx))
		Expect(judge.heard(ngap)()).To(BeFalse(), "the judge")
	})

	It("is followed where its port is translated", func(ctx SpecContext) {
		s, _, judge := spoken("", false)
		Expect(s.node("fw").Nft("table ip r { chain pre { type nat hook prerouting priority -100; sctp dport 9 dnat to 10.0.9.1:38412; }; }")).To(Succeed())
		Expect(s.node("pc")).To(probes.Reach(netip.MustParseAddr("10.0.1.2"), probes.SCTP(9).Within(soon)).AnsweredBy("site").WithContext(ctx))
		Expect(judge.heard(ngap)()).To(BeTrue(), "the judge")
	})

	It("is asked by a bare check, where rules let it in at a port", func(ctx SpecContext) {
		s, to, judge := spoken(dropping("sctp dport 38412 ct state new accept"), false)
		Expect(holds(probes.BeIsolatedFrom(to).WithContext(ctx), s.node("pc"))).To(BeFalse())
		Expect(judge.heard(ngap)()).To(BeTrue(), "the judge")
	})

	It("is not isolated where a rule lets in who asks from a port", func(ctx SpecContext) {
		s, to, judge := spoken(dropping("sctp sport 77 accept"), false)
		Expect(holds(probes.BeIsolatedFrom(to, association).WithContext(ctx), s.node("pc"))).To(BeFalse())
		Expect(judge.heard(ngap)()).To(BeTrue(), "the judge")
	})

	It("goes past neighbour discovery that a rule stops, and meets the same policy", func(ctx SpecContext) {
		s := neighbours("table inet f { chain input { type filter hook input priority 0; policy drop; }; }")
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("peer"), association.Within(silence)).At("peer").WithContext(ctx))
	})

	It("is sent as it says", func(ctx SpecContext) {
		s, to, _ := spoken(drop(`sctp sport 4000 ip dscp 46 ip ttl 8 drop comment "this one"`), false)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(to, association.FromPort(4000).DSCP(46).TTL(9).Within(soon)).By("this one").WithContext(ctx))
	})
})

// speaksSCTP says whether a node's kernel has SCTP.
func speaksSCTP(node *harness.Node) bool {
	return node.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}) == nil
}
