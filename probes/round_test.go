package probes

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness"
)

func TestRoundsFitTheirBuffers(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, flat("flat", 2))
	from := lab.Nodes()[0]
	many := func(n int, addr string, p Probe) (tasks []*task) {
		for range n {
			tasks = append(tasks, &task{asking: asking{from: from, addr: netip.MustParseAddr(addr), probe: p}})
		}
		return tasks
	}
	for what, c := range map[string]struct {
		tasks []*task
		most  int // tasks in a round
	}{
		"more than there are sequence numbers": {many(70_000, "10.0.0.2", ICMP()), 400},
		"both families":                        {append(many(300, "10.0.0.2", ICMP()), many(300, "fd00::2", ICMP())...), 300},
		"large ones":                           {many(10, "10.0.0.2", ICMP().Size(maxSize)), 3},
		"none":                                 {nil, 0},
	} {
		count := 0
		for _, r := range rounds(c.tasks) {
			held := 0
			for _, task := range r.tasks {
				held += task.takes()
				if task.from != r.from || task.addr.Is6() != r.v6 {
					t.Fatalf("%s: %s in the round of IPv6 %v", what, task.addr, r.v6)
				}
			}
			if len(r.tasks) == 0 || len(r.tasks) > c.most || held != r.held || held > roundBuffer {
				t.Errorf("%s: a round of %d tasks and %d bytes", what, len(r.tasks), held)
			}
			count += len(r.tasks)
		}
		if count != len(c.tasks) {
			t.Errorf("%s: %d of %d tasks are in rounds", what, count, len(c.tasks))
		}
	}
}

// Two addresses may be translated into one, where requests with one id would be one
// connection: under watch each has its own.
func TestEachRequestOfAWatchedRoundHasItsID(t *testing.T) {
	t.Parallel()
	from := harness.Up(t, flat("flat", 2)).Nodes()[0]
	var tasks []*task
	for _, addr := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.2", "10.0.0.4"} {
		tasks = append(tasks, &task{asking: asking{from: from, addr: netip.MustParseAddr(addr), probe: ICMP(), watched: &watched{}}})
	}
	r := rounds(tasks)[0]
	defer closeRounds([]*round{r})
	if err := openRounds([]*round{r}); err != nil {
		t.Fatal(err)
	}
	ids := map[uint16]bool{}
	for _, task := range tasks {
		ids[r.ids[task.turn]] = true
	}
	if len(ids) != len(tasks) {
		t.Errorf("ids %v for %d requests", ids, len(tasks))
	}
}

// Raw sockets hear every answer in their namespace: a round takes what has its
// own number and nonce, from whom it asked, and once.
func TestARoundTakesItsOwn(t *testing.T) {
	t.Parallel()
	from := harness.Up(t, flat("flat", 2)).Nodes()[0]
	to, other := netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::1")
	another := func(at int) func([]byte) { return func(reply []byte) { reply[at] ^= 1 } }
	for what, c := range map[string]struct {
		from  netip.Addr
		spoil func(reply []byte)
		want  Outcome
	}{
		"its own":                 {to, func([]byte) {}, Answered},
		"from elsewhere":          {other, func([]byte) {}, 0},
		"of another id":           {to, another(4), 0},
		"of another nonce":        {to, another(echoHeader + nonceSize - 1), 0},
		"to the one after it":     {to, another(7), 0},
		"to one that was no task": {to, another(6), 0},
	} {
		r := &round{ids: []uint16{7}, echoes: &echoes{id: 7, seq: 0xffff, v6: true, bare: true}, nonce: newNonce(), left: 1}
		r.tasks = []*task{{asking: asking{from: from, addr: to, probe: ICMP(), labs: [2]*harness.Lab{from.Lab()}}}}
		reply := replyTo(r.echoes, r.echoes.request(defaultSize, r.nonce))
		c.spoil(reply)
		for range 2 { // that it comes twice changes nothing
			r.answer(reply, c.from)
		}
		if got := r.tasks[0].result.Outcome; got != c.want || (r.left == 0) != (c.want == Answered) {
			t.Errorf("%s: %s, %d left", what, got, r.left)
		}
		r.answer(reply[:echoHeader+nonceSize-1], c.from)
	}
}
