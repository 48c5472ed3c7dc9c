package verdict

import (
	"testing"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

func TestExplainAnswersFromElsewhere(t *testing.T) {
	t.Parallel()
	const unheard = "inconclusive: the request arrived; the answer was last seen at client/lan: it came back to the asker, who did not hear it"
	comes := func(change func(*evidence.Sighting)) func(*scene) {
		return func(s *scene) {
			s.came("client")
			for i := range s.Timeline {
				if s.Timeline[i].Role == evidence.Answer {
					change(&s.Timeline[i])
				}
			}
		}
	}
	elsewhere := comes(func(s *evidence.Sighting) { s.Source = fwDmz4 })
	explained(t, map[string]example{
		"from another address": {happen: elsewhere, kind: evidence.OtherAddr, word: "otheraddr@client",
			text: "the request arrived; the answer was not accepted at client/lan: it came from 10.0.2.2, which was not asked"},
		"from another port": {happen: comes(func(s *evidence.Sighting) { s.SourcePort = 54 }), kind: evidence.OtherAddr, word: "otheraddr@client",
			text: "the request arrived; the answer was not accepted at client/lan: it came from port 54, which was not asked"},
		"which the asker refuses": {protocol: wire.TCP, happen: func(s *scene) {
			elsewhere(s)
			s.see(evidence.Refusal, "client/lan out", "fw/lan in")
		}, kind: evidence.OtherAddr, word: "otheraddr@client",
			text: "the request arrived; the answer was not accepted at client/lan: it came from 10.0.2.2, which was not asked"},
		"which the asker resets, and gets once more when it asks again": {protocol: wire.TCP, happen: func(s *scene) {
			elsewhere(s)
			s.see(evidence.Request, "client/lan out").Destination = fwDmz4
			s.again()
			elsewhere(s)
			s.see(evidence.Request, "client/lan out").Destination = fwDmz4
		}, kind: evidence.OtherAddr, word: "otheraddr@client",
			text: "the request arrived; the answer was not accepted at client/lan: it came from 10.0.2.2, which was not asked"},
		"of an echo": {protocol: wire.ICMP, happen: elsewhere, kind: evidence.OtherAddr, word: "otheraddr@client",
			text: "the request arrived; the answer was not accepted at client/lan: it came from 10.0.2.2, which was not asked"},
		"from where it was asked": {happen: func(s *scene) { s.came("client") }, kind: evidence.Unknown, word: "unknown@client", text: unheard},
		"from where the asker's own translation had it go": {happen: func(s *scene) {
			elsewhere(s)
			s.Timeline[0].Destination = fwDmz4
		}, kind: evidence.Unknown, word: "unknown@client", text: unheard},
		"on its way": {happen: func(s *scene) {
			s.came("fw")
			s.Timeline[len(s.Timeline)-1].Source = fwDmz4
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request arrived; the answer was last seen at fw/dmz: its route was not looked up"},
	})
}
