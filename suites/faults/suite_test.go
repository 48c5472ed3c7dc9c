// Package faults asks about networks that are ill: links that are slow, lose, duplicate, reorder and
// corrupt, that let little through, or are cut. The judge is plain sockets, which write down
// what arrived and when, and the kernel's own counts.
package faults_test

import (
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestSuite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Faults")
}

var _ = BeforeEach(func() {
	if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
		Skip(other)
	}
})
