package hygiene_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const shardedSpecs = 30

var _ = Describe("the shards of a suite", func() {
	It("have each of its specs once", func() {
		const shards = 4
		ran := map[string]int{}
		for part := 1; part <= shards; part++ {
			r := startWith(func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, fmt.Sprintf("NSTEST_SHARD=%d/%d", part, shards)) },
				"shards", asIs, "-ginkgo.label-filter="+fixtureLabel)
			Expect(r.status()).To(BeZero(), "%s", &r.out)
			had := 0
			for line := range strings.Lines(r.out.String()) {
				if name, is := strings.CutPrefix(line, "at: "); is {
					ran[strings.TrimSpace(name)]++
					had++
				}
			}
			Expect(had).To(And(BeNumerically(">", 0), BeNumerically("<", shardedSpecs)), "shard %d", part)
			r.leavesNothing()
		}
		Expect(ran).To(HaveLen(shardedSpecs))
		Expect(ran).To(HaveEach(1))
	})
})

func init() {
	fixtures["shards"] = func(t *testing.T) {
		RegisterFailHandler(Fail)
		Describe("a suite", Label(fixtureLabel), func() {
			for i := range shardedSpecs {
				It(fmt.Sprint("has a spec ", i), func() { progress(fmt.Sprint("spec ", i)) })
			}
		})
		RunSpecs(t, "Fixture")
	}
}
