package truth_test

import (
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// handsOn says whether a part sends packets, or copies of them, another way than routes do.
func (p part) handsOn() bool {
	return slices.ContainsFunc([]string{" fwd to ", "dup to ", "-j TEE", "log group "}, func(word string) bool { return strings.Contains(p.text, word) })
}

// uncircle takes away what may send packets round for ever: what netdev forwards loses nothing
// of its TTL, and where each round makes a copy more TTL ends nothing in time. One node hands
// on, or a route leads back; what comes later than the first is left out.
func (w *world) uncircle() {
	at := ""
	if slices.ContainsFunc(w.parts, func(p part) bool { return p.feature == "a route that leads back" }) {
		at = "nobody"
	}
	w.parts = slices.DeleteFunc(w.parts, func(p part) bool {
		if !p.handsOn() {
			return false
		}
		if at == "" {
			at = p.node
		}
		return p.node != at
	})
}

var _ = Describe("a random network", func() {
	It("sends no packet round for ever", func() {
		hand := 0
		for seed := range uint64(5000) {
			w, at := newWorld(seed), ""
			for _, p := range w.parts {
				if !p.handsOn() {
					continue
				}
				if at == "" {
					hand++
					at = p.node
				}
				Expect(p.node).To(Equal(at), "two nodes of seed %d hand on:\n%s", seed, w)
			}
		}
		Expect(hand).To(BeNumerically(">", 100), "or it shows nothing")
	})
})
