package probes

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// Outcome is how a probe ended. The zero value is none.
type Outcome int

// The outcomes. A probe that could not be made is an error, never one of these.
const (
	Answered Outcome = iota + 1 // an answer came; Result.By is who sent it
	Refused                     // the target itself said no: a reset, or port unreachable
	Rejected                    // somebody on the way said no, with an ICMP error
	Silent                      // it left the source, and nothing came back in time, or not what was awaited
	Unsent                      // it never left the source: no route, link down, forbidden, too large
)

// String is the outcome in lower case, as a matrix has it.
func (o Outcome) String() string {
	switch o {
	case Answered:
		return "answered"
	case Refused:
		return "refused"
	case Rejected:
		return "rejected"
	case Silent:
		return "silent"
	case Unsent:
		return "unsent"
	}
	return "no outcome"
}

// ICMPError is an ICMP error that came back for a probe.
type ICMPError struct {
	Type, Code uint8 // RFC 792; RFC 4443 when the sender's address is IPv6
	Info       int   // the MTU of "fragmentation needed" and "packet too big", in bytes
}

// Result is what one probe found out.
type Result struct {
	// From and To name the asker and the target.
	From, To string
	// Addr is the address that was asked.
	Addr netip.Addr
	// Probe is what was asked.
	Probe Probe
	// Outcome is how it ended.
	Outcome Outcome
	// By is the node that answered, refused or rejected; "" when nobody did, or
	// when none or several nodes have Sender's address then and none signed.
	By string
	// Proven is true when By signed the answer. Otherwise By is inferred from
	// Sender's address. Who sent a reset is never proven.
	Proven bool
	// Sender is the address that the answer or the error came from.
	Sender netip.Addr
	// RTT is the time to the answer, or how long it was waited for.
	RTT time.Duration
	// Errno is the kernel's error behind Refused, Rejected and Unsent.
	Errno unix.Errno
	// ICMP is the ICMP error behind Refused and Rejected; nil without one.
	ICMP *ICMPError
	// Cause is what stopped a probe under watch, see Watch; nil for one that was
	// answered, or not watched.
	Cause *evidence.Cause
	// Timeline is what was seen of a probe under watch.
	Timeline evidence.Timeline
	// Packets are the packets of a probe under watch, each followed to its one end:
	// the request, retransmissions and copies of it, and what came back.
	Packets []evidence.Packet
	// Each has a Result for every address, when the target has several; the
	// Result that holds it is the first that was not answered, or the first.
	Each []Result

	// Nodes are known by themselves: two labs may have the same names.
	from        *harness.Node   // who asked
	target      *harness.Node   // who is to answer; nil when the target is an address
	by          *harness.Node   // By; nil where no node is known to be meant
	owners      []*harness.Node // of Sender's address, where there are several
	met         []watch.Passage // what the request met in the hands of rules
	metBack     []watch.Passage // what the answer did
	waits       string          // where a packet of the request waits while another has ended
	answerWaits string          // the same of the answer
	signed      bool            // By signed
	held        bool            // By was seen to have got the request: the connection's, or the echo's
	connected   bool            // a connection was made, whatever came of it
	defers      bool            // the target waits for data before it takes the connection
	unsigned    bool            // By has the connection in whose place a responder was to sign
	replied     bool            // something came by datagrams, and not all that was awaited
	reached     bool            // under watch: the target itself was spoken to, and did not say what was awaited
	kept        bool            // it was asked over a connection that lives
	detail      string          // of the outcome, in a few words; "" without any
	watch       *watch.Watch    // that followed it, and by which trail
	trail       *watch.Trail
	nonce       [nonceSize]byte // of its echo request
}

// All are the results of every address that was asked: Each, or the Result itself
// where there was one.
func (r Result) All() []Result {
	if len(r.Each) > 0 {
		return r.Each
	}
	return []Result{r}
}

// Hops are where a probe under watch has gone, node by node: what it met there, and what let it
// pass. What is printed of them is a line for each:
//
//	request at client: sent, out at lan; by the default route via 10.0.1.254
//	request at fw: in at lan, out at dmz; accepted by rule "tcp dport 80 accept" of inet filter forward
//	request at server: in at dmz, delivered
//	answer at server: ...
//
// They are put together when they are first asked for, and rules and routes are read then. Of a
// Result with several addresses they are the Result's own: those of Each have theirs.
func (r Result) Hops() evidence.Hops {
	if r.watch == nil {
		return nil
	}
	return r.watch.Hops(r.trail)
}

// String says in one line who asked whom with what, and what came of it.
func (r Result) String() string {
	var text strings.Builder
	text.WriteString(r.From)
	if how := r.Probe.source.String(); how != "" {
		fmt.Fprintf(&text, " (%s)", how)
	}
	fmt.Fprintf(&text, " -> %s (%s) %s: %s", r.To, r.Addr, r.Probe, r.Outcome)
	took := r.RTT.Round(time.Microsecond)
	switch r.Outcome {
	case Answered, Refused, Rejected:
		fmt.Fprintf(&text, " by %s after %s", r.who(), took)
		if r.ICMP != nil {
			fmt.Fprintf(&text, ": %s", r.ICMP.text(r.Sender))
		} else if r.Outcome != Answered && r.Errno != 0 {
			fmt.Fprintf(&text, ": %s", r.Errno.Error())
		}
	case Silent:
		text.WriteString(": " + r.silence(took))
	case Unsent:
		fmt.Fprintf(&text, ": %s", r.Errno.Error())
	}
	if r.detail != "" {
		fmt.Fprintf(&text, ": %s", r.detail)
	}
	return text.String()
}

// silence is how long it was waited for: where the end was seen before the bound, until
// then.
func (r Result) silence(took time.Duration) string {
	if r.Cause == nil || r.Cause.Kind == evidence.Unknown || r.RTT >= r.Probe.bound() {
		return fmt.Sprintf("no answer in %s", took)
	}
	if r.Cause.Kind == evidence.Drop {
		return fmt.Sprintf("drop seen after %s", took)
	}
	return fmt.Sprintf("end seen after %s", took)
}

// GomegaString keeps Gomega from printing the whole lab.
func (r Result) GomegaString() string {
	text := r.String()
	if r.Cause != nil {
		text += "\n" + r.Cause.String()
	}
	return text
}

// who is By with the address, and how sure that is.
func (r Result) who() string {
	by := r.By
	switch {
	case by == "" && len(r.owners) > 1:
		by = "one of " + names(r.owners)
	case by == "":
		by = "somebody"
	case r.Outcome == Refused && r.ICMP == nil && !r.Proven:
		by += " (unproven: a reset has no signature)"
	}
	if r.Sender.IsValid() && r.Sender != r.Addr.WithZone("") {
		return fmt.Sprintf("%s from %s", by, r.Sender)
	}
	return by
}

var icmp4Words = map[uint8]map[uint8]string{
	3: {
		0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
		4: "fragmentation needed", 9: "network prohibited", 10: "host prohibited", 13: "administratively prohibited",
	},
	11: {0: "time to live exceeded"},
}

var icmp6Words = map[uint8]map[uint8]string{
	1: {
		0: "no route", 1: "administratively prohibited", 2: "beyond scope", 3: "address unreachable",
		4: "port unreachable", 5: "source address policy", 6: "route rejected",
	},
	2: {0: "packet too big"},
	3: {0: "hop limit exceeded"},
}

// text is the error in words; sender tells the family.
func (e *ICMPError) text(sender netip.Addr) string {
	words, family := icmp4Words, "icmp"
	if sender.Is6() {
		words, family = icmp6Words, "icmpv6"
	}
	text := fmt.Sprintf("%s %d/%d", family, e.Type, e.Code)
	if word, ok := words[e.Type][e.Code]; ok {
		text = fmt.Sprintf("%s (%s)", word, text)
	}
	if e.Info != 0 {
		text += fmt.Sprintf(", mtu %d", e.Info)
	}
	return text
}

// wrongOwner says whether another node than the target answered.
func (r Result) wrongOwner() bool {
	return r.Outcome == Answered && r.target != nil && r.By != "" && !sameNode(r.by, r.target)
}

// sameNode says whether two nodes are one: an attached one may be a lab's own.
func sameNode(a, b *harness.Node) bool {
	return a != nil && b != nil && (a == b || a.Inode() == b.Inode())
}

// names are nodes' names for a message.
func names(nodes []*harness.Node) string {
	const most = 4
	var all []string
	for _, node := range nodes {
		all = append(all, node.Name())
	}
	if len(all) > most {
		return fmt.Sprintf("%d nodes (%s, ...)", len(all), strings.Join(all[:most-1], ", "))
	}
	return strings.Join(all, ", ")
}
