package hygiene_test

import (
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// A terminal sends Ctrl-C to a whole process group. Ginkgo cleans up at the first
// one and gives that up at the second: who got one twice would clean nothing up.
var _ = Describe("a suite that Ctrl-C ends", func() {
	DescribeTable("leaves nothing behind", func(name string, presses int, p privilege) {
		before, err := machine()
		Expect(err).NotTo(HaveOccurred())
		r := startWith(func(cmd *exec.Cmd) { cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true} },
			name, p, "-ginkgo.no-color", "-ginkgo.label-filter="+fixtureLabel)
		for press := range presses {
			Eventually(r.lastProgress, patience).Should(Equal([]string{"waiting", "cleaning up"}[press]), "%s", &r.out)
			Expect(unix.Kill(-r.Process.Pid, unix.SIGINT)).To(Succeed())
		}
		Expect(r.status()).To(Equal(1), "%s", &r.out)
		Expect(r.lastProgress()).To(Equal([]string{"cleaned up", "cleaning up"}[presses-1]), "%s", &r.out)
		Expect(r.out.String()).To(ContainSubstring("[INTERRUPTED]"))
		// Without a clean-up the labs are up until the process ends, and Main says so.
		Expect(strings.Contains(r.out.String(), "left behind")).To(Equal(presses > 1), "%s", &r.out)
		r.leavesNothing()
		unchanged(before, machine)
	},
		Entry("once, "+string(asIs), "interrupted", 1, asIs),
		Entry("once, "+string(sandboxed), "interrupted", 1, sandboxed),
		Entry("twice, "+string(asIs), "interrupted for good", 2, asIs),
		Entry("twice, "+string(sandboxed), "interrupted for good", 2, sandboxed),
	)
})

func init() {
	suite := func(cleanUp func(SpecContext)) func(*testing.T) {
		return func(t *testing.T) {
			RegisterFailHandler(Fail)
			Describe("a suite", Label(fixtureLabel), func() {
				It("waits", func(ctx SpecContext) {
					everything(GinkgoTB())
					DeferCleanup(cleanUp)
					progress("waiting")
					<-ctx.Done()
				})
			})
			RunSpecs(t, "Fixture")
		}
	}
	fixtures["interrupted"] = suite(func(SpecContext) { progress("cleaned up") })
	fixtures["interrupted for good"] = suite(func(ctx SpecContext) {
		progress("cleaning up")
		<-ctx.Done()
	})
}
