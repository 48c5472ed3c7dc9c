package probes_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	echo "golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
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

// mirror answers the echo requests of a node that does not answer any itself, each twice; but for the
// first, which it answers after the second. It says how often it has answered.
func mirror(t *testing.T, node *harness.Node) (answered func() int) {
	t.Helper()
	if err := node.SetSysctl("net.ipv4.icmp_echo_ignore_all", "1"); err != nil {
		t.Fatal(err)
	}
	var conn net.PacketConn
	err := node.Do(func() (err error) { conn, err = net.ListenPacket("ip4:icmp", "0.0.0.0"); return err })
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		var held []byte
		for n := 0; ; n++ {
			buf := make([]byte, 1500)
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			request, err := echo.ParseMessage(1, buf[:size])
			if err != nil || request.Type != ipv4.ICMPTypeEcho {
				n--
				continue
			}
			request.Type = ipv4.ICMPTypeEchoReply
			reply, err := request.Marshal(nil)
			if err != nil {
				return
			}
			answers := [][]byte{reply, reply}
			switch n {
			case 0:
				held, answers = reply, nil
			case 1:
				answers = append(answers, held)
			}
			for _, answer := range answers {
				sent.Add(1) // before it may be heard
				if _, err := conn.WriteTo(answer, from); err != nil {
					sent.Add(-1)
				}
			}
		}
	}()
	return func() int { return int(sent.Load()) }
}

// Answers that come twice are counted, and one that comes after a later one.
func TestPingCountsDuplicatesAndReordering(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	stats, err := probes.Ping(t.Context(), client, server, probes.Train{Interval: time.Millisecond})
	if err != nil || stats.Received != 5 || stats.Duplicates != 0 || stats.Reordered != 0 {
		t.Fatal("the control, in both families: ", stats, err)
	}
	answered := mirror(t, server)
	stats, err = probes.Ping(t.Context(), client, netip.MustParseAddr("10.0.2.1"), probes.Train{Count: 5, Within: 2 * time.Second})
	if err != nil || stats.Sent != 5 || stats.Received != 4 || stats.Reordered != 1 {
		t.Error(stats, err)
	}
	// Each of four was answered twice; the second answer to the last may come too late.
	if stats.Duplicates < 3 || stats.Duplicates > answered()-stats.Received-stats.Reordered {
		t.Errorf("%s, of %d answers", stats, answered())
	}
	if want := fmt.Sprintf("5 sent, 4 received, +%d duplicates, 1 reordered, 20%% loss, rtt ", stats.Duplicates); !strings.HasPrefix(stats.String(), want) {
		t.Error(stats)
	}
}
