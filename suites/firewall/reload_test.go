package firewall_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// guarded lets the lan out, and nothing in that nobody asked for. Its last rule drops, and not a
// policy: of a chain that is made anew the kernel sets that some microseconds after the rules.
const guarded = `table inet filter {
	counter dropped { }
	chain forward {
		type filter hook forward priority 0; policy accept;
		` + established + `
		iifname "lan" udp dport 53 accept
		counter name "dropped" drop
	}
}`

// inOne is a reload by one transaction.
const inOne = "flush ruleset\n" + guarded

// log is the judge: a plain socket for each family that writes down what it reads.
type log struct {
	mu   sync.Mutex
	came map[bool]int // by IPv6
}

func (l *log) read(v6 bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.came[v6]
}

func logAt(node *harness.Node, port uint16) *log {
	GinkgoHelper()
	l := &log{came: map[bool]int{}}
	for _, network := range []string{"udp4", "udp6"} {
		conn, err := node.ListenPacket(context.Background(), network, netip.AddrPortFrom(netip.Addr{}, port))
		Expect(err).NotTo(HaveOccurred())
		var reading sync.WaitGroup
		reading.Go(func() {
			for buf := make([]byte, 1500); ; {
				_, _, err := conn.ReadFrom(buf)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				l.mu.Lock()
				l.came[network == "udp6"]++
				l.mu.Unlock()
			}
		})
		DeferCleanup(func() {
			Expect(conn.Close()).To(Succeed())
			reading.Wait()
		})
	}
	return l
}

// turns are the times at which a gap began and ended, each from before to after the change.
type turns [4]time.Time

// change makes a gap: it begins by the first ruleset and ends by the second; in between it waits
// for something.
func (t *turns) change(fw *harness.Node, first, second string, until func()) error {
	GinkgoHelper()
	t[0] = time.Now()
	Expect(fw.Nft(first)).To(Succeed())
	t[1] = time.Now()
	until()
	t[2] = time.Now()
	Expect(fw.Nft(second)).To(Succeed())
	t[3] = time.Now()
	return nil
}

// isBound says whether a span is one between the turns, as far as it goes.
func (t *turns) isBound(s probes.Span, f probes.Flow) {
	GinkgoHelper()
	Expect(s.Cut).To(BeFalse(), "%s", f)
	Expect(s.AtLeast).To(BeNumerically("<=", t[3].Sub(t[0])), "%s", f)
	Expect(s.AtMost).To(BeNumerically(">=", t[2].Sub(t[1])), "%s", f)
}

var _ = Describe("a reload", func() {
	stream := func(ctx SpecContext, from, to *harness.Node, p probes.Probe, f func() error) []probes.Flow {
		GinkgoHelper()
		flows, err := probes.Stream(ctx, from, to, p.Within(time.Second), 0, f)
		Expect(err).NotTo(HaveOccurred())
		Expect(flows).To(HaveLen(2))
		return flows
	}
	// meanwhile are the packets that were sent while something changed.
	meanwhile := func(f probes.Flow) (n int) {
		for _, p := range f.Packets {
			if p.Sent.After(f.Begun) && p.Sent.Before(f.Ended) {
				n++
			}
		}
		return n
	}
	// several reloads give a stream the time to send in each.
	several := func(fw *harness.Node) func() error {
		return func() error {
			for range 10 {
				Expect(fw.Nft(inOne)).To(Succeed())
			}
			return nil
		}
	}

	It("lets nothing in by one transaction, and by two what comes in between", func(ctx SpecContext) {
		o := up(guarded)
		judge := logAt(o.desk, 7)
		for _, f := range stream(ctx, o.inet, o.desk, probes.UDP(7), several(o.fw)) {
			Expect(f).To(And(HaveField("Arrived", 0), HaveField("Lost", f.Sent), HaveField("Unsent", 0)))
			Expect(f.Open()).To(And(HaveField("Packets", 0), HaveField("Cut", false), HaveField("AtMost", BeNumerically(">", 0))))
			Expect(meanwhile(f)).To(BeNumerically(">", 0))
			Expect(judge.read(f.Addr.Is6())).To(BeZero())
		}

		By("flushing it first, and loading it then")
		var at turns
		flows := stream(ctx, o.inet, o.desk, probes.UDP(7), func() error {
			return at.change(o.fw, "flush ruleset", guarded, func() {
				for _, v6 := range []bool{false, true} {
					Eventually(judge.read).WithArguments(v6).WithTimeout(soon).WithPolling(time.Millisecond).Should(BeNumerically(">", 2))
				}
			})
		})
		for _, f := range flows {
			Eventually(judge.read).WithArguments(f.Addr.Is6()).WithTimeout(soon).Should(Equal(f.Arrived), "%s", f)
			Expect(f.Open().Packets).To(Equal(f.Arrived), "%s", f)
			at.isBound(f.Open(), f)
		}
	})

	DescribeTable("keeps open by one transaction, and by two closes for a time", func(ctx SpecContext, p probes.Probe) {
		o := up(guarded)
		judge := logAt(o.inet, 53)
		came := map[bool]int{}
		for _, f := range stream(ctx, o.desk, o.inet, p, several(o.fw)) {
			Expect(f).To(And(HaveField("Lost", 0), HaveField("Unsent", 0)))
			Expect(meanwhile(f)).To(BeNumerically(">", 0))
			v6 := f.Addr.Is6()
			Eventually(judge.read).WithArguments(v6).WithTimeout(soon).Should(Equal(f.Sent), "%s", f)
			came[v6] = f.Sent
		}

		By("closing all first")
		const shut = "flush ruleset; table inet filter { counter dropped { }; chain forward { type filter hook forward priority 0; counter name dropped drop; }; }"
		var at turns
		lost := 0
		flows := stream(ctx, o.desk, o.inet, p, func() error {
			return at.change(o.fw, shut, "flush chain inet filter forward; "+guarded, func() {
				Eventually(dropped).WithArguments(o.fw).WithTimeout(soon).WithPolling(time.Millisecond).Should(BeNumerically(">", 10))
			})
		})
		for _, f := range flows {
			v6 := f.Addr.Is6()
			Eventually(judge.read).WithArguments(v6).WithTimeout(soon).Should(Equal(came[v6]+f.Arrived), "%s", f)
			Expect(f.Closed().Packets).To(Equal(f.Lost), "%s", f)
			at.isBound(f.Closed(), f)
			lost += f.Lost
		}
		Expect(dropped(o.fw)).To(BeNumerically("==", lost), "as the rule has counted")
	},
		Entry("of new flows", probes.UDP(53)),
		Entry("of one flow", probes.UDP(53).FromPort(5000)),
	)
})

// dropped is what the rule that drops has counted.
func dropped(fw *harness.Node) (packets uint64, err error) {
	err = fw.Nftables(func(c *nftables.Conn) error {
		object, err := c.GetObject(&nftables.CounterObj{Table: &nftables.Table{Name: "filter", Family: nftables.TableFamilyINet}, Name: "dropped"})
		if err == nil {
			packets = object.(*nftables.CounterObj).Packets
		}
		return err
	})
	return packets, err
}
