package hygiene_test

import (
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) {
	// Each network has a name of its own here, and would be told one by one.
	_ = os.Unsetenv("NSTEST_RULE_COVERAGE")
	os.Exit(harness.Main(m))
}

func TestSuite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Nothing left behind, nothing touched")
}

var _ = BeforeEach(func() {
	if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
		Skip(other)
	}
})
