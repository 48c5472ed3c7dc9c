package egress_test

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/fence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a sandbox with a fence", func() {
	It("has no way out, and each rule is named", func(ctx SpecContext) {
		s := build(ctx)
		s.load()
		report := s.check(ctx)
		fmt.Fprintln(GinkgoWriter, "took", report.Took)
		AddReportEntry("report", report.String(), ReportEntryVisibilityFailureOrVerbose)
		Expect(opened(report)).To(BeEmpty(), "%s", report)
		for _, f := range report.Findings {
			Expect(f.State).To(Equal(fence.Blocked), "%s", f)
		}
		for channel, rule := range map[string]string{
			"tcp": "egress", "any protocol6": "egress6", "spoofed source": "own address", "spoofed mac": "own mac", "sibling": "no sibling",
			"sibling by link-local address": "no sibling6", "gateway by udp": "host dns",
		} {
			f, _ := report.Finding(channel)
			Expect(f.Cause.Is(rule)).To(BeTrue(), "%s", f)
			Expect(f.Cause.Node).To(Equal("host"))
		}
		Expect(s.lab.Node("box")).To(fence.BeClosed(s.world).WithContext(ctx))
	})

	It("is seen to have every hole that is planted", func(ctx SpecContext) {
		s := build(ctx)
		const together = 5 // each opens its own channel, and no other
		for i := range together {
			var planted []hole
			var channels []string
			for j := i; j < len(holes); j += together {
				planted, channels = append(planted, holes[j]), append(channels, holes[j].opens)
			}
			By(strings.Join(channels, ", "))
			s.load(planted...)
			report := s.check(ctx)
			Expect(opened(report)).To(ConsistOf(channels), "%s", report)
		}
		By("a connection that is older than the fence")
		s.load(hole{chain: forward, rule: "ct state new,established accept"})
		older, err := fence.Connect(ctx, s.lab.Node("box"), s.world)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(older.Close)
		s.world.Before = older
		s.load(hole{chain: forward, rule: `ct state established accept`})
		Expect(opened(s.check(ctx))).To(ConsistOf("older connection"))
		By("the proxy")
		s.load()
		s.rules.open.Store(true)
		Expect(opened(s.check(ctx))).To(ConsistOf("proxy"))
		s.rules.open.Store(false)
		By("unix sockets")
		s.world.Root = "/"
		Expect(opened(s.check(ctx))).To(ConsistOf("unix socket"))
		s.world.Root = filepath.Join(s.root, "empty")
		s.abstract("box")
		Expect(opened(s.check(ctx))).To(ConsistOf("abstract socket"))
		Expect(s.lab.Node("box")).NotTo(fence.BeClosed(s.world).WithContext(ctx))
		Expect(s.lab.Node("box")).To(fence.BeClosed(s.world).WithContext(ctx).Except("abstract socket"))
	})

	It("is open where a rule that was named is lifted", func(ctx SpecContext) {
		s := build(ctx)
		s.load()
		rules := map[string]fence.Finding{}
		for _, f := range s.check(ctx).Findings {
			if f.Cause != nil && f.Cause.Rule != nil {
				rules[f.Cause.Rule.String()] = f
			}
		}
		Expect(rules).To(HaveLen(10), "all but the one about ARP")
		for rule, f := range rules {
			By(rule)
			Expect(probes.Lift(s.made["host"], *f.Cause)).To(Succeed())
			Expect(opened(s.check(ctx))).To(ContainElement(f.Channel))
		}
	})

	It("is not shown to be closed where the control fails", func(ctx SpecContext) {
		s := build(ctx)
		s.load(hole{chain: forward, rule: `ip protocol udp drop comment "for everybody"`})
		f, _ := s.check(ctx).Finding("udp")
		Expect(f.State).To(Equal(fence.Unproven))
		Expect(f.Detail).To(And(HavePrefix("the control failed"), ContainSubstring("for everybody")))
		_, err := fence.BeClosed(s.world).WithContext(ctx).Match(s.lab.Node("box"))
		Expect(err).To(MatchError(ContainSubstring("not shown to be closed")))
	})
})
