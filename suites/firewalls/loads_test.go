package firewalls_test

import (
	"flag"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var keep = flag.Bool("keep", false, "keep the rulesets in testdata, for machines that have not the packages")

var _ = Describe("the ruleset", func() {
	DescribeTable("loads, and has what was asked for", each(func(g *generator) {
		r := g.ruleset()
		if *keep {
			Expect(os.MkdirAll("testdata", 0o755)).To(Succeed())
			r.write("testdata/" + g.name)
		}
		has := listed(newOffice(GinkgoTB(), r).fw)
		for end, asked := range g.asked.files() {
			for line := range strings.Lines(strings.Trim(*asked, "\n")) {
				Expect(*has.files()[end]).To(ContainSubstring(strings.TrimSpace(line)))
			}
		}
	})...)
})
