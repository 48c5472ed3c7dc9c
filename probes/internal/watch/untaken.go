package watch

import (
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
)

// Untaken says why the target's own socket drops a request like the trail's, which again asks
// once more: the kernel counts for each socket what that drops. It is "" where none does.
func (w *Watch) Untaken(t *Trail, again func() (*Trail, error)) (why string) {
	heard := Heard{Untaken: "its own count of drops moves"}
	c := w.Explain(t, heard)
	if c.Kind != evidence.NotTaken {
		return ""
	}
	reason := func(by func(string) uint64, _ uint64) bool {
		if why = DropReason(by); why == noRoom && w.cookiesOff(c.Node) {
			why = verdict.HalfOpen
		}
		return false
	}
	shown := w.tryAgain(&try{
		trail: t, heard: heard, first: c, again: again, moved: reason, mayArrive: func(*Trail) bool { return true },
	})
	if !shown {
		return ""
	}
	return why
}

// DropReason is why a socket drops, by the counters that moved with its own. A filter has none.
func DropReason(by func(string) uint64) string {
	for _, r := range []struct{ counter, why string }{
		{"Udp.RcvbufErrors", "its receive buffer is full (SO_RCVBUF)"},
		{"Udp6.RcvbufErrors", "its receive buffer is full (SO_RCVBUF)"},
		{"UdpLite.RcvbufErrors", "its receive buffer is full (SO_RCVBUF)"},
		{"UdpLite6.RcvbufErrors", "its receive buffer is full (SO_RCVBUF)"},
		{"TcpExt.TCPMinTTLDrop", "its TTL is below the least that the socket wants (IP_MINTTL, IPV6_MINHOPCOUNT)"},
		{"TcpExt.TCPMD5NotFound", "it has no signature, which the socket wants (TCP_MD5SIG)"},
		{"TcpExt.TCPAORequired", "it has no signature, which the socket wants (TCP_AO)"},
		{"TcpExt.TCPReqQFullDrop", verdict.HalfOpen},
		{"TcpExt.ListenDrops", noRoom},
	} {
		if by(r.counter) > 0 {
			return r.why
		}
	}
	return "by a filter of its own, as it seems (SO_ATTACH_FILTER, SO_ATTACH_BPF)"
}

// noRoom is why a socket that listens drops what none of the other counters is about.
const noRoom = "it has no room for it"

// cookiesOff says whether a node begins no connection without a place for it.
func (w *Watch) cookiesOff(node string) bool {
	p := w.pointOf(node)
	if p == nil {
		return false
	}
	value, err := p.node.Sysctl("net.ipv4.tcp_syncookies")
	return err == nil && value == "0"
}

// drops says whether the sockets at a try's port have dropped more than before, which no
// other of the batch can have sent.
func (w *Watch) drops(t *try, batch []*try, before, after counts) bool {
	port, own := w.ownPort(t, batch)
	return after.of[t.at] != nil && after.dropped[t.at][port] > before.dropped[t.at][port] && own
}
