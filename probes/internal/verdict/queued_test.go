package verdict

import (
	"testing"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// slow are the queues of an interface that has a rate: its own queue holds what tbf does.
func slow(index int, holds uint32) []inspect.Qdisc {
	return []inspect.Qdisc{{Index: index, Kind: "tbf", Rate: 8e6, Holds: holds}, {Index: index, Kind: "pfifo", Holds: holds}}
}

const inTBF = "in tbf (rate 8 Mbit/s), 7 packets queued"

// Where a packet waits when the bound is over, and where nothing does.
func TestExplainsWhatWaitsInAQueue(t *testing.T) {
	t.Parallel()
	waited := func(happen func(s *scene)) func(s *scene) {
		return func(s *scene) { s.Heard.Waited = true; happen(s) }
	}
	explained(t, map[string]example{
		"on the way": {happen: waited(func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Qdiscs = slow(3, 7)
		}), kind: evidence.Queued, word: "queued@fw", text: "the request was waiting at fw/dmz: in tbf (rate 8 Mbit/s), 7 packets queued"},
		"at the asker": {happen: waited(func(s *scene) {
			s.States["client"].Qdiscs = slow(2, 1)
		}), kind: evidence.Queued, word: "queued@client", text: "the request was waiting at client/lan: in tbf (rate 8 Mbit/s), 1 packet queued"},
		"the answer": {happen: waited(func(s *scene) {
			s.arrived("server")
			s.States["server"].Qdiscs = slow(2, 7)
		}), kind: evidence.Queued, word: "queued@server", text: "the request arrived; the answer was waiting at server/dmz: " + inTBF},
		"at a switch's end": {happen: waited(func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			on.Qdiscs = map[End][]inspect.Qdisc{fwEnd: slow(0, 7)}
		}), kind: evidence.Queued, word: "queued@fw", text: "the request was waiting at fw/lan: at its port of switch lan, " + inTBF},
		"at a switch's end, for what the two send each other": {happen: waited(func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			on.Pairs = map[Pair][]inspect.Qdisc{{clientEnd, fwEnd}: slow(0, 7)}
		}), kind: evidence.Queued, word: "queued@fw", text: "the request was waiting at fw/lan: at its port of switch lan, for what client/lan sends it, " + inTBF},
		"at a switch's end, for what another sends there": {happen: waited(func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			on.Qdiscs = map[End][]inspect.Qdisc{fwEnd: slow(0, 7)} // for all but what the client sends
			on.Pairs = map[Pair][]inspect.Qdisc{{spareEnd, fwEnd}: slow(0, 7), {clientEnd, fwEnd}: nil, {fwEnd, clientEnd}: slow(0, 7)}
		}), kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
		"the answer to a question for a neighbour, between two of a switch": {happen: waited(func(s *scene) {
			on := s.withSwitch()
			s.asks("client", fwLan4)
			on.Pairs = map[Pair][]inspect.Qdisc{{fwEnd, clientEnd}: slow(0, 7), {spareEnd, clientEnd}: slow(0, 9)}
		}), kind: evidence.Queued, word: "queued@client", text: "the request was waiting at client/lan: at its port of switch lan, for what fw/lan sends it, " + inTBF},
		"the question for a neighbour, at a switch's end": {happen: waited(func(s *scene) {
			on := s.withSwitch()
			s.asks("client", fwLan4)
			on.Qdiscs = map[End][]inspect.Qdisc{fwEnd: slow(0, 7)}
		}), kind: evidence.Queued, word: "queued@fw", text: "the request was waiting at fw/lan: at its port of switch lan, " + inTBF},
		"in netem, which also loses": {happen: waited(func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Qdiscs = []inspect.Qdisc{{Index: 3, Kind: "netem", Delay: 2 * time.Second, Loss: 0.1, Holds: 7}}
		}), kind: evidence.Queued, word: "queued@fw", text: "the request was waiting at fw/dmz: in netem (delay 2s, loss 10 %), 7 packets queued, or was lost there by chance"},
		"the bound is not over": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Qdiscs = slow(3, 7)
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"nothing waits": {happen: waited(func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Qdiscs = slow(3, 0)
		}), kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"what waits is to leave elsewhere": {happen: waited(func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Qdiscs = slow(2, 7)
		}), kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"nobody has the neighbour's address": {happen: waited(func(s *scene) {
			s.asks("client", fwLan4)
			s.States["client"].Qdiscs = slow(2, 7)
			s.States["fw"].Addrs, s.Ports["fw"] = nil, nil
		}), kind: evidence.Neighbour, word: "neighbour@client", text: "the request was not sent on at client/lan: nobody has answered for 10.0.1.2 yet"},
	})
}
