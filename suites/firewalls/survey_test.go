package firewalls_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// soon is when all has long been answered, or its end seen, however busy the machine.
const soon = 25 * time.Second

var (
	icmp = probes.ICMP().Within(soon)
	web  = probes.TCP(80).Within(soon)
	dns  = probes.UDP(53).Within(soon)
)

// survey has every node answer, and every node ask every other under watch. Nothing
// may be left open: what a rule ended was seen.
func (o office) survey(ctx SpecContext) *probes.Matrix {
	GinkgoHelper()
	for _, node := range o.lab.Nodes() {
		probes.Serve(GinkgoTB(), node, web, dns)
	}
	matrix, err := probes.WatchSurvey(ctx, o.lab, icmp, web, dns)
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("survey", matrix.String(), ReportEntryVisibilityFailureOrVerbose)
	for _, r := range everything(o.lab, matrix) {
		if r.Outcome != probes.Answered {
			Expect(r.Cause).NotTo(BeNil(), "%s", r)
			Expect(r.Cause.Kind).NotTo(Equal(evidence.Unknown), "%s: %s", r, r.Cause)
		}
	}
	return matrix
}

// everything is every result of a survey of all nodes.
func everything(lab *harness.Lab, matrix *probes.Matrix) (results []probes.Result) {
	for _, from := range lab.Nodes() {
		for _, to := range lab.Nodes() {
			results = append(results, matrix.Results(from.Name(), to.Name())...)
		}
	}
	return results
}

// stopped is what a probe was stopped by, in a line, the same on every machine: the
// chain of a rule or policy, and nothing of the rule's text.
func stopped(r probes.Result) string {
	rule := r.Cause.Rule
	if rule == nil {
		return fmt.Sprintf("%s %s %s %s@%s", r.From, r.To, r.Probe, r.Cause.Kind, r.Cause.Node)
	}
	what := "rule"
	if rule.IsPolicy() {
		what = "policy"
	}
	return fmt.Sprintf("%s %s %s %s@%s %s of %s %s %s", r.From, r.To, r.Probe, r.Cause.Kind, r.Cause.Node, what, rule.Family, rule.Table, rule.Chain)
}

var _ = Describe("a watched survey", func() {
	DescribeTable("says of every probe how it ended, and which rule stopped it", each(func(ctx SpecContext, g *generator) {
		o := newOffice(GinkgoTB(), g.ruleset())
		matrix := o.survey(ctx)
		Expect(matrix).To(probes.MatchMatrix(g.matrix))

		var lines []string
		for _, r := range append(matrix.Results("pc", "fw"), append(matrix.Results("site", "fw"), matrix.Results("site", "pc")...)...) {
			if r.Outcome != probes.Answered {
				lines = append(lines, stopped(r))
			}
		}
		slices.Sort(lines)
		lines = slices.Compact(lines) // a table of inet has both families
		Expect(lines).To(Equal(strings.Split(strings.Trim(g.stops, "\n"), "\n")))
	})...)
})
