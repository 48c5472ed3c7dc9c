package firewalls_test

import (
	"encoding/json"
	"os"
	"path/filepath"
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
		leave(report, g.name)
		const percent = 100
		var lines []string
		for _, rule := range report.Of(policy.NotModelled) {
			lines = append(lines, rule.String())
		}
		Expect(len(lines)*percent).To(BeNumerically("<=", len(report.Rules)), "not modelled of %d:\n%s", len(report.Rules), strings.Join(lines, "\n"))
	})...)
})

// leave puts a report among the artifacts, where there are to be some: `make vm` compares what
// its kernels left.
func leave(report policy.Report, name string) {
	GinkgoHelper()
	dir := os.Getenv("NSTEST_ARTIFACTS")
	if dir == "" {
		return
	}
	text, err := json.Marshal(report)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.MkdirAll(filepath.Join(dir, "policies"), 0o755)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(dir, "policies", name+".json"), text, 0o644)).To(Succeed())
}
