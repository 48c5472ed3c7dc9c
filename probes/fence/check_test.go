package fence_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/fence"
	"github.com/nstest/nstest/topo"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// fenced is a sandbox behind a router that lets none of its packets on.
func fenced(tb harness.TB) (*harness.Node, fence.World) {
	harness.Require(tb, harness.NftTool)
	network := topo.New("fenced")
	lan, wan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("wan", "198.51.100.0/24", "2001:db8:1::/64")
	network.Host("box", lan) // 10.0.1.1 and fd00:1::1
	network.Host("free", lan)
	network.Host("outside", wan)
	network.Router("fw", lan, wan).Nft(`table inet fence {
		chain forward { type filter hook forward priority 0; ip saddr 10.0.1.1 drop; ip6 saddr fd00:1::1 drop; }
		chain spoofed { type filter hook prerouting priority -300; ip saddr { 192.0.2.0/24, 10.0.1.65 } drop; ip6 saddr 2001:db8:66::/48 drop; }
		chain input { type filter hook input priority 0; ip saddr 10.0.1.1 drop; ip6 saddr fd00:1::1 tcp dport 80 drop; }
	}`)
	lab := harness.Up(tb, network)
	return lab.Node("box"), fence.World{Outside: lab.Node("outside"), Free: lab.Node("free"), Gateway: lab.Node("fw")}
}

func TestCheckTriesEveryChannelOnce(t *testing.T) {
	box, world := fenced(t)
	report, err := fence.Check(t.Context(), box, world)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range report.Findings {
		names = append(names, f.Channel)
		if got, ok := report.Finding(f.Channel); !ok || got.String() != f.String() {
			t.Errorf("%s is found as %s", f, got)
		}
	}
	if !slices.Equal(names, fence.Channels()) {
		t.Errorf("tried %q, of %q", names, fence.Channels())
	}
	if slices.Sort(names); len(slices.Compact(names)) != len(report.Findings) {
		t.Errorf("two channels have one name: %q", names)
	}
	if len(report.Holes()) != 0 || report.Took <= 0 {
		t.Errorf("took %s:\n%s", report.Took, report)
	}
}

func TestWhatCannotBeChecked(t *testing.T) {
	box, world := fenced(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for want, check := range map[string]func() (fence.Report, error){
		"check a fence: the sandbox is nil":                                    func() (fence.Report, error) { return fence.Check(t.Context(), nil, world) },
		"check a fence: World.Outside and World.Free are to be nodes":          func() (fence.Report, error) { return fence.Check(t.Context(), box, fence.World{}) },
		"check the fence of " + box.String() + ": " + context.Canceled.Error(): func() (fence.Report, error) { return fence.Check(over, box, world) },
	} {
		if _, err := check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// BenchmarkCheck is of a whole check, after the lab's first. Its floor is twice as many
// datagrams as there are channels, from plain sockets to one that reads them. It fails
// where a check takes more than two seconds.
func BenchmarkCheck(b *testing.B) {
	const most = 2 * time.Second
	box, world := fenced(b)
	if _, err := fence.Check(b.Context(), box, world); err != nil {
		b.Fatal(err)
	}
	var floor time.Duration
	for b.Loop() {
		report, err := fence.Check(b.Context(), box, world)
		switch {
		case err != nil:
			b.Fatal(err)
		case len(report.Holes()) > 0:
			b.Fatal(report)
		case report.Took > most:
			b.Errorf("a check took %s, which is more than %s", report.Took, most)
		}
		b.StopTimer()
		floor += datagrams(b, world.Free, world.Outside, 2*len(fence.Channels()))
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(floor), "x-floor")
}

// datagrams is how long n of them take, one after the other, each from a socket of its own.
func datagrams(b *testing.B, from, to *harness.Node, n int) time.Duration {
	b.Helper()
	began := time.Now()
	listener, err := to.ListenPacket(b.Context(), "udp", netip.AddrPortFrom(to.Addr(), 9))
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	for range n {
		conn, err := from.Dial(b.Context(), "udp", netip.AddrPortFrom(to.Addr(), 9))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := fmt.Fprint(conn, "floor"); err != nil {
			b.Error(err)
		}
		if _, _, err := listener.ReadFrom(make([]byte, 16)); err != nil {
			b.Error(err)
		}
		if err := conn.Close(); err != nil {
			b.Error(err)
		}
	}
	return time.Since(began)
}
