package policy_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// For which state connection tracking takes ICMP's types the kernel says: what it counted, a packet that is sent
// meets as well, and of what nothing can be no packet was counted.
func TestStatesOfICMP(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	chains := map[string]string{}
	for _, kind := range []int{0, 3, 4, 5, 6, 8, 11, 13, 14, 42, 127, 128, 129, 130, 133, 135, 136, 137, 140, 141, 143, 144, 255} {
		for _, state := range []string{"new", "established", "related", "invalid", "untracked"} {
			for _, word := range []string{"icmp", "icmpv6"} {
				chains[word] += fmt.Sprintf("%s type %d ct state %s counter\n", word, kind, state)
			}
		}
	}
	lab := harness.Up(t, sides(fmt.Sprintf(`table inet filter {
		chain four { %s }
		chain six { %s }
		chain forward { type filter hook forward priority 0; counter; meta l4proto icmp jump four; meta l4proto ipv6-icmp jump six; }
	}`, chains["icmp"], chains["icmpv6"])))
	report := covered(t, lab)
	const types = 256
	for _, v6 := range []bool{false, true} {
		var all [][]byte
		for kind := range types {
			all = append(all, icmp(v6, byte(kind), 0), icmp(v6, byte(kind), 1))
		}
		sendAll(t, lab.Node("client"), "lan", lab.Node("fw"), v6, all)
	}
	var counts map[string]uint64
	NewWithT(t).Eventually(func() uint64 {
		counts = counted(t, lab.Node("fw"))
		return counts["forward 1"]
	}).WithContext(t.Context()).Within(soon).Should(BeNumerically("==", 2*2*types))
	fates := map[policy.Fate]int{}
	for _, r := range report.Rules {
		count := counts[fmt.Sprintf("%s %d", r.Chain, r.Position)]
		if fates[r.Fate]++; r.Chain != "forward" && count > 0 && r.Fate != policy.Matched {
			t.Errorf("%s, and %d packets were counted", r, count)
		}
	}
	if fates[policy.Unreachable] < 100 || fates[policy.Matched] < 40 || fates[policy.NotModelled] > 0 {
		t.Errorf("%v\n%s", fates, report)
	}
}

// icmp is a packet between the sides, with a right checksum, or with one that is wrong by something.
func icmp(v6 bool, kind byte, wrong uint16) []byte {
	src, dst, protocol := spaceAddr(v6, 1, "77"), spaceAddr(v6, 2, "77"), uint8(unix.IPPROTO_ICMP)
	upper := []byte{kind, 0, 0, 0, 0, 1, 0, 1}
	summed := upper
	if v6 {
		protocol = unix.IPPROTO_ICMPV6
		summed = slices.Concat(src.AsSlice(), dst.AsSlice(), []byte{0, 0, 0, byte(len(upper)), 0, 0, 0, protocol}, upper)
	}
	binary.BigEndian.PutUint16(upper[2:], ^sumOf(summed)^wrong)
	return header(src, dst, protocol, upper)
}

// ICMP in the other family's packets connection tracking takes for invalid, whatever its type: what rules say of its states no packet
// meets but of that, and counters say the same of plain ones.
func TestStatesOfTheOtherFamilysICMP(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, sides(`table inet filter {
		chain forward {
			type filter hook forward priority 0
			meta nfproto ipv4 meta l4proto ipv6-icmp ct state invalid counter
			meta nfproto ipv4 meta l4proto ipv6-icmp ct state new,established,related,untracked counter
			meta nfproto ipv6 meta l4proto icmp ct state invalid counter
			meta nfproto ipv6 meta l4proto icmp ct state new,established,related,untracked counter
			ct state invalid drop
			meta l4proto ipv6-icmp accept
			meta l4proto icmp accept
		}
	}`))
	var fates []policy.Fate
	for _, r := range covered(t, lab).Rules {
		fates = append(fates, r.Fate)
	}
	want := []policy.Fate{policy.Matched, policy.Unreachable, policy.Matched, policy.Unreachable, policy.Decided, policy.Redundant, policy.Redundant, policy.Decided}
	if !slices.Equal(fates, want) {
		t.Errorf("they are %v, and not %v", fates, want)
	}
	for _, v6 := range []bool{false, true} {
		protocol := map[bool]uint8{false: unix.IPPROTO_ICMPV6, true: unix.IPPROTO_ICMP}[v6]
		var all [][]byte
		for kind := range 256 {
			all = append(all, header(spaceAddr(v6, 1, "77"), spaceAddr(v6, 2, "77"), protocol, []byte{byte(kind), 0, 0, 0, 0, 1, 0, 1}))
		}
		sendAll(t, lab.Node("client"), "lan", lab.Node("fw"), v6, all)
	}
	NewWithT(t).Eventually(func() []uint64 {
		counts := counted(t, lab.Node("fw"))
		return []uint64{counts["forward 1"], counts["forward 2"], counts["forward 3"], counts["forward 4"]}
	}).WithContext(t.Context()).Within(soon).Should(Equal([]uint64{256, 0, 256, 0}))
}
