package watch_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// What a rule is seen to drop ends a probe at once; but not where somebody else has a
// packet socket on the way, who got the packet before the rule.
func TestOverWaitsForBlindSpots(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(dropUDP))
	fw, flow := lab.Node("fw"), to(udp, server4, 53)
	ends := func(when string) {
		t.Helper()
		a := ask(t, lab.Node("client"), flow)
		gomega.NewWithT(t).Eventually(func() bool { return a.watch.Over(a.trail) }).WithTimeout(soon).Should(gomega.BeTrue(), "a drop ends it "+when)
		a.says(evidence.Drop, noDNS)
	}
	ends("at once")
	var fd int
	must(t, fw.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0x0003)
		return err
	}))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300}); err != nil { // ETH_P_ALL
		t.Fatal(err)
	}
	a := ask(t, lab.Node("client"), flow)
	if a.says(evidence.Drop, noDNS); a.watch.Over(a.trail) {
		t.Errorf("somebody else listens, and it is over\n%s", a.timeline())
	}
	_ = unix.Close(fd)
	ends("where nobody else listens any more")
}

// A copy is another packet: the end of one is not the other's.
func TestOverOfACopy(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(`table ip copies {
		chain pre { type filter hook prerouting priority -300; iifname "lan" udp dport 53 dup to 10.0.1.99 device "lan"; }
		chain out { type filter hook output priority 0; ip daddr 10.0.2.1 udp dport 53 drop; }
	}`))
	serve(t, lab.Node("server"), 53)
	a := ask(t, lab.Node("client"), to(udp, server4, 53))
	if by := a.answered().Answerer(); by != "server" {
		t.Errorf("answered by %q\n%s", by, a.timeline())
	}
	if a.watch.Over(a.trail) {
		t.Errorf("a copy was dropped, and it is over\n%s", a.timeline())
	}
}
