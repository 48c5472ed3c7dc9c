package firewalls_test

import (
	"strings"

	"github.com/nstest/nstest/probes/policy"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("each rule", func() {
	DescribeTable("has a fate", each(func(ctx SpecContext, g *generator) {
		report, err := policy.Cover(ctx, newOffice(GinkgoTB(), g.ruleset()).lab, "fw")
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("what became of each rule", report.String())
		const percent = 100
		var lines []string
		for _, rule := range report.Of(policy.NotModelled) {
			lines = append(lines, rule.String())
		}
		Expect(len(lines)*percent).To(BeNumerically("<=", len(report.Rules)), "not modelled of %d:\n%s", len(report.Rules), strings.Join(lines, "\n"))
	})...)
})
