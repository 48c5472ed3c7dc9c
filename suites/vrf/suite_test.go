// Package vrf keeps tenants apart by routing tables of one router, and asks whether they
// are: with the same addresses, with leaks that are meant and such that are not, with
// services of the router that are for one tenant. What is asked of it is asked of the same
// network with a router for each tenant as well.
package vrf_test

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
	RunSpecs(t, "Routing domains")
}

var _ = BeforeEach(func() {
	if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
		Skip(other)
	}
	harness.Require(GinkgoTB(), harness.VRF)
})
