package probes

import (
	"context"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
)

// kind is what a probe asks with: a row, in a file of its own with what only it
// needs. Nothing else in this package tells one kind from another; what a protocol looks
// like on the wire is known by internal/wire.
type kind struct {
	name     string // as matrices have it; with ports, "/80" follows
	ports    bool
	protocol wire.Protocol
	// socket is the type of the socket that asking.socket makes, SOCK_STREAM or
	// SOCK_DGRAM; 0 where ask has sockets of its own.
	socket int
	// transport is that socket's protocol; 0 is the type's own, TCP or UDP.
	transport int
	// ask asks one question, and puts what came of it into the result.
	ask func(*asking) error
	// together asks those of a survey; nil asks each by itself.
	together func(context.Context, []*task) error
	// serve starts a responder at a node. What it holds is ended by closers, also
	// beside an error. It is nil where every kernel answers by itself.
	serve func(node *harness.Node, p Probe, running *sync.WaitGroup) (closers []func(), err error)
	// unserved is true of what is asked to see it arrive, and not for an answer.
	unserved bool
	// crafted is true of segments of TCP that are of no connection.
	crafted bool
	// fragments is true of what is sent in fragments where a probe is Fragmented.
	fragments bool
	// framed is the packet that askFrame sends, which begins with its IP header; nil where it
	// knows none.
	framed func(*asking, wire.Datagram) ([]byte, error)
	// silence is what is known of a probe that was not watched, and not answered.
	silence string
}

// kinds are all there are: a new one is a file and a line here.
var kinds = []*kind{
	icmpKind,
	tcpKind,
	udpKind,
	udpLiteKind,
	protocolKind,
	timestampKind,
	segmentKind,
	sctpKind,
}

const silentAfterLeaving = "it left the source; what became of it is not known"
