package hygiene_test

import (
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("tests that end before their time", func() {
	DescribeTable("leave nothing behind", func(name string, status int, says string, args ...string) {
		before, err := machine()
		Expect(err).NotTo(HaveOccurred())
		var runs []*run
		for _, p := range []privilege{asIs, sandboxed} {
			runs = append(runs, start(name, p, args...))
		}
		for _, r := range runs {
			Expect(r.status()).To(Equal(status), "%s", &r.out)
			Expect(r.out.String()).To(And(ContainSubstring(says), Not(ContainSubstring("left behind"))))
			Expect(r.lastProgress()).To(Equal("down"), "all was up")
			r.leavesNothing()
		}
		unchanged(before, machine)
	},
		Entry("when one panics", "panic", 2, "panic: on purpose"),
		Entry("when a goroutine panics, as at the end of a test's time", "panic elsewhere", 2, "panic: on purpose"),
		Entry("when one calls os.Exit", "exit", 7, ""),
		Entry("when one fails", "fail", 1, "failed on purpose"),
		Entry("when a second lab is a mistake", "mistake", 1, "up: host carol: add route 10.7.0.0/16"),
		Entry("when BeforeEach fails half way", "before each", 1, "[FAILED] failed on purpose",
			"-ginkgo.no-color", "-ginkgo.label-filter="+fixtureLabel),
	)
})

const fixtureLabel = "fixture"

func init() {
	after := func(end func(t *testing.T)) func(*testing.T) {
		return func(t *testing.T) {
			everything(t)
			end(t)
		}
	}
	fixtures["panic"] = after(func(*testing.T) { panic("on purpose") })
	fixtures["panic elsewhere"] = after(func(*testing.T) {
		go panic("on purpose")
		select {}
	})
	fixtures["exit"] = after(func(*testing.T) { os.Exit(7) })
	fixtures["fail"] = after(func(t *testing.T) { t.Fatal("failed on purpose") })
	fixtures["mistake"] = after(func(t *testing.T) {
		// The routes are one: the second cannot be added to a lab that is half up.
		network := topo.New("mistake-" + os.Getenv(markVar))
		network.Host("carol", network.Switch("lan", "10.0.9.0/24")).Route(
			topo.Route{To: "10.7.0.0/16", Via: "10.0.9.77"}, topo.Route{To: "10.7.0.0/16", Via: "10.0.9.78"})
		harness.Up(t, network)
	})
	// A suite in the suite: the label leaves the outer one's specs out.
	fixtures["before each"] = func(t *testing.T) {
		RegisterFailHandler(Fail)
		Describe("a suite", Label(fixtureLabel), func() {
			BeforeEach(func() {
				everything(GinkgoTB())
				Fail("failed on purpose")
			})
			It("does not get here", func() {})
		})
		RunSpecs(t, "Fixture")
	}
}
