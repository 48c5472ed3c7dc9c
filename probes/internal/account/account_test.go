package account

import "testing"

// The table of watch.md, 4: how a no ends early, and how it must not.
func TestEndsOfAProbe(t *testing.T) {
	t.Parallel()
	try(t, map[string]row{
		"a drop at fw": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64 drop=7`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request primary dropped@fw, over`},
		"dup to ids, which drops, and the service takes its time": {traced: "fw ids", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw #2 >mirror out post 63
			fw/mirror out 63
			ids/mirror in 63
			fw/wan out 63
			site/wan in 63
			ids #1 mirror>back pre fwd 63>62 drop=0`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at fw: out at fw/mirror, in at ids/mirror, dropped by policy drop of inet filter x
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"dup, the original dropped too": {traced: "fw ids", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 drop=4
			fw #2 >mirror out post 63
			fw/mirror out 63
			ids/mirror in 63
			ids #1 mirror>back pre fwd 63>62 drop=0`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 4 of inet filter x
			request copied at fw: out at fw/mirror, in at ids/mirror, dropped by policy drop of inet filter x
			request primary dropped@fw, over`},
		"the copy dies in fw's own output chain": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw #2 >mirror out 63 drop=9
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at fw: at fw, dropped by rule 9 of inet filter x
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"dup to the same link, and a tbf queue": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw #2 >wan out post 63
			fw/wan out 63
			site/wan in 63 foreign`, want: `
			request: out at pc/lan, in at fw/lan, passed the rules for wan and did not leave
			request copied at fw: out at fw/wan, came in nowhere
			request in a frame for another host: in at site/wan, not for this node
			request primary waiting@fw, open: 2 passed the rules at fw and 1 left; the request left fw/wan and came in nowhere`},
		"dup and an unresolved neighbour: the original waits, the copy dies": {traced: "fw ids", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw #2 >mirror out post 63
			fw/mirror out 63
			ids/mirror in 63
			ids #1 mirror>back pre fwd 63>62 drop=0`, want: `
			request: out at pc/lan, in at fw/lan, passed the rules for wan and did not leave
			request copied at fw: out at fw/mirror, in at ids/mirror, dropped by policy drop of inet filter x
			request primary waiting@fw, open: 2 passed the rules at fw and 1 left`},
		"forwarding off, before the program forwards": {timeline: `
			pc/lan out 64
			fw/lan in 64`, want: `
			request: out at pc/lan, in at fw/lan, did not leave
			request primary died@fw, open: the request came in at fw/lan and did not leave`},
		"forwarding off, and a packet-socket program forwards after 8 ms": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 64 +8000
			site/wan in 64`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request left fw as it had come, by a program or a mirror: it may be there still; the request came in at site/wan, and what became of it was not seen`},
		"a program takes it before the rules drop it": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 drop=7
			fw/wan out 64 +8000
			site/wan in 64`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request copied at fw: out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
	})
}
