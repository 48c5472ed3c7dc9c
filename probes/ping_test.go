package probes_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
)

func TestPingTrain(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	stats, err := probes.Ping(t.Context(), lab.Node("client"), netip.MustParseAddr("10.0.2.1"), probes.Train{Count: 4, Interval: time.Millisecond})
	if err != nil || stats.Sent != 4 || stats.Received != 4 || stats.Loss() != 0 {
		t.Fatal(stats, err)
	}
	if stats.Min <= 0 || stats.Min > stats.Avg || stats.Avg > stats.Max {
		t.Error(stats)
	}
	if err := lab.Node("fw").SetSysctl("net.ipv4.ip_forward", "0"); err != nil {
		t.Fatal(err)
	}
	stats, err = probes.Ping(t.Context(), lab.Node("client"), netip.MustParseAddr("10.0.2.1"), probes.Train{Count: 2, Within: soon})
	if err != nil || stats.Sent != 2 || stats.Received != 0 || stats.String() != "2 sent, 0 received, 100% loss" {
		t.Error(stats, err)
	}
}

func TestPingWhatIsNotSent(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	stats, err := probes.Ping(t.Context(), lab.Node("client"), lab.Node("server"), probes.Train{Count: 2, Size: 9000})
	if err != nil || stats.Sent != 0 || stats.Received != 0 || len(stats.Results) != 2 || stats.Results[0].Outcome != probes.Unsent {
		t.Fatal(stats, err)
	}
	if stats.Loss() != 1 || stats.String() != "0 sent, 0 received, 100% loss" {
		t.Errorf("nothing was sent, and nothing was lost: %s", stats)
	}
	if loss := (probes.Stats{Sent: 4, Received: 3}).Loss(); loss != 0.25 {
		t.Error(loss)
	}
}

func TestPingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	stats, err := probes.Ping(ctx, client, server, probes.Train{Count: 2, Interval: time.Hour})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "ping client -> server: ") {
		t.Error(err)
	}
	if stats.Sent != 1 || stats.Received != 1 || stats.Avg <= 0 || stats.StdDev != 0 {
		t.Errorf("the statistics so far: %s", stats)
	}
	for want, f := range map[string]func() (probes.Stats, error){
		"ask: no node to ask from": func() (probes.Stats, error) { return probes.Ping(t.Context(), nil, server, probes.Train{}) },
		"ask: no target":           func() (probes.Stats, error) { return probes.Ping(t.Context(), client, nil, probes.Train{}) },
		"ask: probe icmp: a payload of 5 bytes: it is between 24 and 65507": func() (probes.Stats, error) {
			return probes.Ping(t.Context(), client, server, probes.Train{Size: 5})
		},
	} {
		if stats, err := f(); err == nil || !strings.HasPrefix(err.Error(), want) || stats.Sent != 0 {
			t.Errorf("got %v, %v; want %s", stats, err, want)
		}
	}
}
