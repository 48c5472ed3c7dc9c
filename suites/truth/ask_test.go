package truth_test

import "fmt"

// ask is one question.
type ask struct {
	from, to string
	// addr is asked instead of the node: an address that nobody has.
	addr string
	kind string // icmp, tcp, udp; all is a check that names no probe
	port uint16
	// across asks a node of the name in a second lab, which nothing joins to this one.
	across bool
}

func (a ask) String() string {
	to := a.to + a.addr
	if a.across {
		to += " of another lab"
	}
	return fmt.Sprintf("%s -> %s %s", a.from, to, a.probeText())
}

func (a ask) probeText() string {
	if a.kind == icmp || a.kind == every {
		return a.kind
	}
	return fmt.Sprintf("%s/%d", a.kind, a.port)
}

const (
	icmp = "icmp"
	tcp  = "tcp"
	udp  = "udp"

	every = "without a probe" // of a question: what matters is the library's to find
)
