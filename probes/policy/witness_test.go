package policy_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// A witness that somebody else sends moves the counter of the rule that it was told for.
func TestWitnesses(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			lab := harness.Up(t, sides(generated(rand.New(rand.NewPCG(seed, 15)))))
			fw := lab.Node("fw")
			tried := 0
			for _, r := range covered(t, lab).Of(policy.Decided, policy.Matched) {
				place := fmt.Sprintf("%s %d", r.Chain, r.Position)
				before, counts := counted(t, fw)[place]
				if !counts {
					continue
				}
				p := r.Witness[0]
				from := map[string]string{"lan": "client", "dmz": "server"}[p.In]
				sendAll(t, lab.Node(from), p.In, fw, p.Source.Addr().Is6(), [][]byte{headerOf(p)})
				NewWithT(t).Eventually(func() uint64 { return counted(t, fw)[place] }).Within(soon).Should(BeNumerically(">", before), r.String())
				tried++
			}
			if tried < 3 {
				t.Errorf("only %d were tried", tried)
			}
		})
	}
}

// headerOf makes a packet by what is told of it.
func headerOf(p policy.Packet) []byte {
	upper := []byte{p.Type, p.Code, 0, 0, 0, 0, 0, 0}
	if p.Protocol == unix.IPPROTO_TCP || p.Protocol == unix.IPPROTO_UDP {
		upper = []byte{byte(p.Source.Port() >> 8), byte(p.Source.Port()), byte(p.Destination.Port() >> 8), byte(p.Destination.Port()), 0, 8, 0, 0}
	}
	if p.Protocol == unix.IPPROTO_TCP {
		upper = append(upper, make([]byte, 12)...)
		upper[12], upper[13] = 5<<4, p.Flags
	}
	if p.Short {
		upper = nil
	}
	return withTTL(header(p.Source.Addr(), p.Destination.Addr(), p.Protocol, upper), p.TTL)
}
