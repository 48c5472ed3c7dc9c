package probes

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
)

// A responder that does not get its turn is one that reads nothing.
func TestALateResponderIsToldAsThat(t *testing.T) {
	t.Parallel()
	network := topo.New("late")
	wire := network.Wire("wire", "10.0.0.0/24")
	network.Host("client", wire)
	network.Host("server", wire)
	lab := harness.Up(t, network)
	client, server := lab.Node("client"), lab.Node("server")
	const says = "(Serve) has not answered in 100ms"
	for _, p := range []Probe{UDP(53), TCP(80)} {
		p := p.Within(100 * time.Millisecond)
		ask := func() Result {
			t.Helper()
			r, err := Watch(t.Context(), client, server, p)
			if err != nil || r.Outcome != Silent || r.Cause == nil {
				t.Fatalf("%s, %v: want it silent", r, err)
			}
			return r
		}
		at := netip.AddrPortFrom(netip.Addr{}, p.port)
		if p.kind == udpKind {
			conn, err := server.ListenPacket(context.Background(), "udp4", at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if r := ask(); strings.Contains(r.Cause.String(), says) {
				t.Errorf("%s: nobody serves there", r.Cause)
			}
		} else {
			listener, err := server.Listen(context.Background(), "tcp4", at)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
		}
		ended := began(server, p)
		r := ask()
		if !strings.Contains(r.Cause.String(), says) {
			t.Errorf("%s\n%s\nwant it to say %q", r, r.Cause, says)
		}
		if holds, err := BeIsolatedFrom(server).Match(r); holds || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("it arrived, and is isolated: %v, %v", holds, err)
		}
		if p.kind == tcpKind {
			r, err := Ask(t.Context(), client, server, p)
			if err != nil || r.Outcome != Silent || !strings.Contains(r.String(), "server (Serve) has not read in 100ms what was sent over it") {
				t.Errorf("%s, %v", r, err)
			}
		}
		ended()
	}
}

func TestAnAnswerIsOverdueByTheKernelsTime(t *testing.T) {
	t.Parallel()
	begun := time.Unix(1000, 0)
	at := func(after time.Duration, role evidence.Role, node string) evidence.Sighting {
		return evidence.Sighting{At: begun.Add(after), Node: node, Role: role}
	}
	request := at(0, evidence.Request, "client")
	dropped := at(2*time.Second, evidence.Answer, "client")
	dropped.Rule = &evidence.Rule{}
	for name, row := range map[string]struct {
		seen evidence.Timeline
		want string
	}{
		"nothing":       {nil, ""},
		"no answer":     {evidence.Timeline{request}, ""},
		"in time":       {evidence.Timeline{request, at(time.Millisecond, evidence.Answer, "client")}, ""},
		"too late":      {evidence.Timeline{request, at(1200*time.Millisecond, evidence.Answer, "client")}, "it came there 1.2s after it was asked for"},
		"and again":     {evidence.Timeline{request, at(time.Millisecond, evidence.Answer, "client"), at(1200*time.Millisecond, evidence.Answer, "client")}, ""},
		"not yet there": {evidence.Timeline{request, at(1200*time.Millisecond, evidence.Answer, "server")}, ""},
		"dropped there": {evidence.Timeline{request, dropped}, ""},
	} {
		if got := overdue(row.seen, "client", begun.Add(time.Second), false); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
	handshake := evidence.Timeline{request, at(time.Millisecond, evidence.Answer, "client"), at(1200*time.Millisecond, evidence.Answer, "client")}
	if got := overdue(handshake, "client", begun.Add(time.Second), true); got != "it came there 1.2s after it was asked for" {
		t.Errorf("what came over a connection: %q", got)
	}
}
