package verdict

import (
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// Where what keeps a node from answering for its address is known, it is told.
func TestExplainWhoDoesNotAnswer(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"the target answers nobody": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server4, State: unix.NUD_FAILED}}
			s.States["server"].Sysctls["net/ipv4/conf/dmz/arp_ignore"] = "8"
		}, kind: evidence.Neighbour, word: "neighbour@fw", text: "the request was not sent on at fw/dmz: server has 10.0.2.1, and does not answer for it: net.ipv4.conf.dmz.arp_ignore=8"},
		"the target answers there for what it has there": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server4, State: unix.NUD_INCOMPLETE}}
			s.States["server"].Sysctls["net/ipv4/conf/all/arp_ignore"] = "1"
		}, kind: evidence.Neighbour, word: "neighbour@fw", text: "the request was not sent on at fw/dmz: server has 10.0.2.1, and has not answered for it yet"},
		"and has it elsewhere": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server4, State: unix.NUD_INCOMPLETE}}
			s.States["server"].Sysctls["net/ipv4/conf/all/arp_ignore"] = "1"
			s.own("server").Index = 1
		}, kind: evidence.Neighbour, word: "neighbour@fw", text: "the request was not sent on at fw/dmz: server has 10.0.2.1, and has not answered for it yet: net.ipv4.conf.all.arp_ignore=1"},
		"the target takes no part": {v6: true, happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server6, State: unix.NUD_FAILED}}
			s.on("server", "dmz").Flags = unix.IFF_NOARP
			s.States["server"].Sysctls["net/ipv4/conf/all/arp_ignore"] = "8"
		}, kind: evidence.Neighbour, word: "neighbour@fw", text: "the request was not sent on at fw/dmz: server has fd00:2::1, and does not answer for it: its interface dmz asks and answers nobody (NOARP)"},
	})
}
