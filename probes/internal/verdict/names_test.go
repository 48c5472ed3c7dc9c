package verdict

import (
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

var queuing = evidence.Rule{Family: "ip", Table: "mangle", Chain: "FORWARD", Handle: 4, Text: "counter queue num 7"}

// masqueraded is an answer to a request that fw gave its own address, as it comes to fw.
func (s *scene) masqueraded() *evidence.Sighting {
	s.see(evidence.Request, "client/lan out", "fw/lan in")
	s.see(evidence.Request, "fw/dmz out").Source = fwDmz4
	s.see(evidence.Request, "server/dmz in").Source = fwDmz4
	s.see(evidence.Answer, "server/dmz out").Destination = fwDmz4
	seen := s.see(evidence.Answer, "fw/dmz in")
	seen.Destination = fwDmz4
	return seen
}

// large is a request of more than a link behind fw takes, or a route.
func (s *scene) large(link, route int) {
	s.arrived("fw").Length = 1400
	s.on("fw", "dmz").MTU = link
	s.States["fw"].Routes = []inspect.Route{{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST, To: netip.MustParsePrefix("10.0.2.0/24"), Index: 3, MTU: route}}
}

func TestExplainsWhatTakesAPacket(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"a queue that nobody reads": {happen: func(s *scene) {
			s.arrived("fw")
			s.Queued = []Queued{{Node: "fw", Role: evidence.Request, Rule: &queuing, Number: 7}}
		}, kind: evidence.NoReader, word: "noreader@fw", text: `the request was dropped at fw: rule "counter queue num 7" of ip mangle FORWARD gives it to queue 7, which no program reads`},
		"a queue that somebody reads": {happen: func(s *scene) {
			s.arrived("fw")
			s.Queued = []Queued{{Node: "fw", Role: evidence.Request, Rule: &queuing, Number: 7, Read: true}}
		}, kind: evidence.Unknown, word: "unknown@fw", text: `inconclusive: the request was last seen at fw: rule "counter queue num 7" of ip mangle FORWARD gave it to queue 7; what the program did with it that reads there is not known`},
		"a queue of the answer": {happen: func(s *scene) {
			s.arrived("server")
			s.Queued = []Queued{{Node: "server", Role: evidence.Answer, Rule: &queuing, Number: -1}}
		}, kind: evidence.NoReader, word: "noreader@server", text: `the request arrived; the answer was dropped at server: rule "counter queue num 7" of ip mangle FORWARD gives it to one of several queues, which no program reads`},
		"another packet's queue": {happen: func(s *scene) {
			s.arrived("fw")
			s.Queued = []Queued{{Node: "fw", Role: evidence.Answer, Rule: &queuing, Number: 7}, {Node: "server", Role: evidence.Request, Rule: &queuing, Number: 7}}
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"a table that is full": {happen: func(s *scene) {
			s.arrived("fw")
			s.Heard.Tracking = Tracking{"fw", "its table is full"}
		}, kind: evidence.Conntrack, word: "conntrack@fw", text: "the request was dropped at fw: connection tracking cannot take it: its table is full"},
		"a table that is full elsewhere": {happen: func(s *scene) {
			s.arrived("fw")
			s.Heard.Tracking = Tracking{"server", "its table is full"}
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"a translation that nobody undoes": {happen: func(s *scene) { s.masqueraded() },
			kind: evidence.Untranslated, word: "untranslated@fw",
			text: "the request arrived; the answer was not translated back at fw/dmz: 10.0.2.2 stands for 10.0.1.1 there, and it was not known as the answer: it is not tracked, or in another zone than the request"},
		"an answer for a router": {happen: func(s *scene) {
			s.arrived("server")
			s.see(evidence.Answer, "server/dmz out", "fw/dmz in").Destination = fwDmz4
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request arrived; the answer was last seen at fw/dmz: it is for that node, which did not ask"},
		"half-open connections": {protocol: wire.TCP, happen: func(s *scene) {
			s.arrived("server")
			s.Heard.Untaken = HalfOpen
		}, kind: evidence.Backlog, word: "backlog@server", text: "the request was not accepted at server/dmz: " + HalfOpen},
		"a translation to a loopback address": {happen: func(s *scene) {
			s.arrived("fw")
			seen := s.see(evidence.Request, "fw")
			seen.Index, seen.Destination = 2, netip.MustParseAddr("127.0.0.1")
			s.States["fw"].Lookups[onward(s.Flow, *seen)] = inspect.Lookup{Errno: unix.EINVAL}
		}, kind: evidence.Martian, word: "martian@fw", text: "the request was not accepted at fw: 127.0.0.1 is a loopback address, to which nobody may send from outside (route_localnet=0)"},
		"a source that rules gave it": {happen: func(s *scene) {
			s.arrived("fw")
			seen := s.see(evidence.Request, "fw")
			seen.Index, seen.Source = 2, fwDmz4
			s.States["fw"].Lookups[onward(s.Flow, *seen)] = inspect.Lookup{Errno: unix.EINVAL}
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw: nothing there accounts for its end"},
	})
}

func TestExplainsAnMTU(t *testing.T) {
	t.Parallel()
	mute := evidence.Rule{Family: "inet", Table: "f", Chain: "c", Handle: 2, Text: "icmp type destination-unreachable drop"}
	const eaten = `; the ICMP error that says so was dropped at fw by rule "icmp type destination-unreachable drop" of inet f c`
	explained(t, map[string]example{
		"of a route": {happen: func(s *scene) { s.large(1500, 1300) },
			kind: evidence.MTU, word: "mtu@fw", text: "the request was too large at fw/dmz: 1400 bytes, and the route to 10.0.2.0/24 takes 1300"},
		"of a route that takes it": {happen: func(s *scene) { s.large(1500, 1400) },
			kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"of which a rule kept the word": {happen: func(s *scene) {
			s.large(1300, 0)
			s.Muted = []Muted{{At: dawn.Add(time.Second), Node: "fw", To: client4, Rule: &mute}}
		}, kind: evidence.MTU, word: "mtu@fw", text: "the request was too large at fw/dmz: 1400 bytes, and the link takes 1300" + eaten},
		"of which a rule kept the word that was seen": {happen: func(s *scene) {
			s.large(1300, 0)
			said := s.see(evidence.Refusal, "fw")
			said.Rule = &mute
		}, kind: evidence.MTU, word: "mtu@fw", text: "the request was too large at fw/dmz: 1400 bytes, and the link takes 1300" + eaten},
		"of which a rule kept a word to somebody else": {happen: func(s *scene) {
			s.large(1300, 0)
			s.Muted = []Muted{{At: dawn.Add(time.Second), Node: "fw", To: server4, Rule: &mute}}
		}, kind: evidence.MTU, word: "mtu@fw", text: "the request was too large at fw/dmz: 1400 bytes, and the link takes 1300"},
	})
}
