package verdict

import (
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

func loses(loss float64) []inspect.Qdisc {
	return []inspect.Qdisc{{Index: 2, Kind: "netem", Loss: loss, Drops: 3}, {Index: 3, Kind: "netem", Loss: loss, Drops: 3}}
}

const lostAll, byChance = "netem loses all that is to leave there (loss 100 %, 3 so far)", "by chance: netem (loss 10 %), 3 so far; ask again"

// What netem loses: all, or some, which is told where nothing else accounts for the end.
func TestExplainsWhatIsLost(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"all, on the way": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Qdiscs = loses(1)
		}, kind: evidence.Lost, word: "lost@fw", text: "the request was lost at fw/dmz: netem loses all that is to leave there (loss 100 %, 3 so far)"},
		"all, at the asker": {happen: func(s *scene) {
			s.States["client"].Qdiscs = loses(1)
		}, kind: evidence.Lost, word: "lost@client", text: "the request was lost at client/lan: " + lostAll},
		"the answer": {happen: func(s *scene) {
			s.arrived("server")
			s.States["server"].Qdiscs = loses(1)
		}, kind: evidence.Lost, word: "lost@server", text: "the request arrived; the answer was lost at server/dmz: " + lostAll},
		"some, and nothing else accounts for it": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Qdiscs, s.Heard.Chance = loses(0.1), true
		}, kind: evidence.Lost, word: "lost@fw", text: "the request was lost at fw/dmz: " + byChance},
		"some, which was seen": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Qdiscs, s.Heard.Queue, s.Heard.QueueKind = loses(0.1), End{"fw", "dmz"}, "netem"
		}, kind: evidence.Lost, word: "lost@fw", text: "the request was lost at fw/dmz: " + byChance},
		"some, and it is not known yet": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Qdiscs = loses(0.1)
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"at a switch's end": {happen: func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			on.Qdiscs = map[End][]inspect.Qdisc{fwEnd: loses(1)}
		}, kind: evidence.Lost, word: "lost@fw", text: "the request was lost at fw/lan: at its port of switch lan, " + lostAll},
		"at a switch's end, of what the client sends": {happen: func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			on.Pairs = map[Pair][]inspect.Qdisc{{clientEnd, fwEnd}: loses(1)}
		}, kind: evidence.Lost, word: "lost@fw", text: "the request was lost at fw/lan: at its port of switch lan, for what client/lan sends it, " + lostAll},
		"at a switch's end, of what another sends": {happen: func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			on.Pairs = map[Pair][]inspect.Qdisc{{spareEnd, fwEnd}: loses(1), {fwEnd, clientEnd}: loses(1)}
		}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
		"at a switch's end of another": {happen: func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			on.Qdiscs = map[End][]inspect.Qdisc{spareEnd: loses(1)}
		}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
	})
}

// Of a neighbour who is not heard, what is lost accounts for it where all is.
func TestExplainsNeighboursThatAreLost(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"a question for a neighbour, at a switch's end": {happen: func(s *scene) {
			on := s.withSwitch()
			s.asks("client", fwLan4)
			on.Qdiscs = map[End][]inspect.Qdisc{fwEnd: loses(1)}
		}, kind: evidence.Lost, word: "lost@fw", text: "the request was lost at fw/lan: at its port of switch lan, " + lostAll},
		"a neighbour's answer": {happen: func(s *scene) {
			s.asks("client", fwLan4)
			s.States["fw"].Qdiscs = loses(1)
		}, kind: evidence.Lost, word: "lost@fw", text: "the request was lost at fw/lan: " + lostAll + ", also its answer to the question for its address"},
		"a neighbour that does not answer, where some is lost": {happen: func(s *scene) {
			s.asks("client", fwLan4)
			s.States["fw"].Qdiscs = loses(0.1)
		}, kind: evidence.Neighbour, word: "neighbour@client", text: "the request was not sent on at client/lan: fw has 10.0.1.2, and has not answered for it yet"},
	})
}

// A lab that is cut, at a wire, where nothing leaves, and at a switch, where it goes no further.
func TestExplainsWhatIsCut(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"a wire": {happen: func(s *scene) {
			s.arrived("fw")
			s.Parted = map[string]int{"client": 0, "fw": 0, "server": 1}
		}, kind: evidence.Parted, word: "parted@fw", text: "the request was lost at fw/dmz: the lab is cut between fw and server (Lab.Partition)"},
		"a switch": {happen: func(s *scene) {
			s.withSwitch()
			s.arrived("client")
			s.Parted = map[string]int{"client": 0, "fw": 1, "server": 1, "spare": 0}
		}, kind: evidence.Parted, word: "parted@client", text: "the request was lost at client/lan: the lab is cut between client and fw (Lab.Partition)"},
		"a switch, and nothing was sent": {happen: func(s *scene) {
			s.withSwitch()
			s.asks("client", fwLan4)
			s.Parted = map[string]int{"client": 0, "fw": 1, "server": 1, "spare": 0}
		}, kind: evidence.Parted, word: "parted@client", text: "the request was lost at client/lan: the lab is cut between client and fw (Lab.Partition)"},
		"the answer": {happen: func(s *scene) {
			s.arrived("server")
			s.Parted = map[string]int{"client": 0, "fw": 0, "server": 1}
		}, kind: evidence.Parted, word: "parted@server", text: "the request arrived; the answer was lost at server/dmz: the lab is cut between server and fw (Lab.Partition)"},
		"another way": {happen: func(s *scene) {
			s.arrived("fw")
			s.Parted = map[string]int{"client": 0, "fw": 1, "server": 1}
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
	})
}

// What a queue is that was seen to drop, also at a switch's end.
func TestExplainsFullQueues(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"a queue of a rate": {happen: func(s *scene) {
			s.arrived("fw")
			s.Heard.Queue, s.Heard.QueueKind = End{"fw", "dmz"}, "tbf"
			s.States["fw"].Qdiscs = []inspect.Qdisc{{Index: 3, Kind: "tbf", Rate: 8e6, Drops: 7}}
		}, kind: evidence.Queue, word: "queue@fw", text: "the request was dropped at fw/dmz: the queue of tbf (rate 8 Mbit/s) is full (7 dropped so far), which drops what is to leave there"},
		"a queue of a switch, for what the client sends": {happen: func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			s.Heard.Queue, s.Heard.QueueKind = fwEnd, "tbf"
			on.Pairs = map[Pair][]inspect.Qdisc{{clientEnd, fwEnd}: {{Kind: "tbf", Rate: 8e6, Drops: 7}}, {spareEnd, fwEnd}: {{Kind: "tbf", Rate: 9e6, Drops: 9}}}
		}, kind: evidence.Queue, word: "queue@fw", text: "the request was dropped at fw/lan: for what client/lan sends it, the queue of tbf (rate 8 Mbit/s) is full (7 dropped so far), which drops what is to leave there"},
		"a queue of a switch": {happen: func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			s.Heard.Queue, s.Heard.QueueKind = fwEnd, "tbf"
			on.Qdiscs = map[End][]inspect.Qdisc{fwEnd: {{Kind: "tbf", Rate: 8e6, Drops: 7}}}
		}, kind: evidence.Queue, word: "queue@fw", text: "the request was dropped at fw/lan: the queue of tbf (rate 8 Mbit/s) is full (7 dropped so far), which drops what is to leave there"},
	})
}
