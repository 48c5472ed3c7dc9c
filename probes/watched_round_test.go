package probes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

// hub is hosts around a router with rules; h3 is not there, h5 ignores echoes, and the router gives h6's to h7.
func hub(t *testing.T, hosts int) *harness.Lab {
	t.Helper()
	network := topo.New("hub")
	var segments []topo.Attachment
	for i := range hosts {
		segment := network.Wire(fmt.Sprintf("w%d", i), fmt.Sprintf("10.0.%d.0/24", i))
		segments = append(segments, segment)
		network.Host(fmt.Sprintf("h%d", i), segment).Sysctl("net.ipv4.icmp_echo_ignore_all", map[bool]string{true: "1", false: "0"}[i == 5])
	}
	network.Router("fw", segments...).Nft(`table ip filter {
		chain pre { type nat hook prerouting priority dstnat; ip daddr 10.0.6.1 dnat to 10.0.7.1; }
		chain forward {
			type filter hook forward priority 0;
			ip saddr 10.0.0.1 ip daddr 10.0.1.1 drop
			ip saddr 10.0.1.1 ip daddr 10.0.2.1 reject
			ip daddr 10.0.5.1 ip saddr 10.0.2.1 drop
		}
	}`)
	lab := harness.Up(t, network)
	h3 := lab.Node("h3")
	link, err := h3.Netlink().LinkByName("w3")
	if err == nil {
		err = h3.Netlink().LinkSetDown(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	return lab
}

// deaf has h4 hear no question for its MAC until its router waits for the answer, which then
// asks again after a second.
func deaf(t *testing.T, lab *harness.Lab) {
	t.Helper()
	h4, fw := lab.Node("h4").Netlink(), lab.Node("fw").Netlink()
	link, err := h4.LinkByName("w4")
	if err == nil {
		err = h4.LinkSetARPOff(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			neighbours, err := fw.NeighList(0, netlink.FAMILY_V4)
			if err != nil || t.Context().Err() != nil || slices.ContainsFunc(neighbours, func(n netlink.Neigh) bool {
				return n.IP.String() == "10.0.4.1" && n.State&netlink.NUD_INCOMPLETE != 0
			}) {
				heard <- errors.Join(err, h4.LinkSetARPOn(link))
				return
			}
			<-ticker.C
		}
	}()
	t.Cleanup(func() {
		if err := <-heard; err != nil {
			t.Error(err)
		}
	})
}

// What is asked in rounds ends as what is asked alone: whatever ends it, and also what
// waits for it.
func TestWatchSurveyInRoundsIsAsEachAlone(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := hub(t, 8)
	h4 := lab.Node("h4")
	grid := probes.Grid{Probes: []probes.Probe{icmp.Within(5 * time.Second)}, Watch: true}
	for _, node := range lab.Nodes() {
		if grid.To = append(grid.To, node); node != h4 {
			grid.From = append(grid.From, node)
		}
	}
	deaf(t, lab)
	matrix, err := grid.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]int{}
	for _, from := range grid.From {
		for _, to := range lab.Nodes() {
			if from == to {
				continue
			}
			alone := probes.Grid{From: []*harness.Node{from}, To: []probes.Target{to}, Watch: true}
			one, err := alone.Survey(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want, got := one.Cell(from.Name(), to.Name()), matrix.Cell(from.Name(), to.Name())
			if got != want {
				t.Errorf("%s -> %s: %s in rounds, %s alone: %v", from, to, got, want, matrix.Results(from.Name(), to.Name()))
			}
			words[want]++
			for _, r := range matrix.Results(from.Name(), to.Name()) {
				if r.Outcome == probes.Answered && !r.Proven {
					t.Errorf("%s -> %s: not proven: %s", from, to, r)
				}
				if to == h4 && from.Name() != "h3" && (r.Outcome != probes.Answered || r.RTT < 100*time.Millisecond) {
					t.Errorf("%s -> %s: %s after %s", from, to, r, r.RTT)
				}
			}
		}
	}
	if len(words) < 5 {
		t.Errorf("only %v", words)
	}
	t.Log(words)
}

// A survey whose context is over is an error, also while answers are waited for.
func TestWatchSurveyInRoundsEndsWithItsContext(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := hub(t, 8)
	deaf(t, lab)
	ctx, stop := context.WithTimeout(t.Context(), 15*time.Millisecond)
	defer stop()
	begun := time.Now()
	if matrix, err := probes.WatchSurvey(ctx, lab, icmp.Within(time.Minute)); err == nil {
		t.Errorf("no error, but\n%s", matrix)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
