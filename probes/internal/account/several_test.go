package account

import "testing"

// Where several packets are alike, each is told of what became of it, and of none twice.
func TestWhichOfSeveral(t *testing.T) {
	t.Parallel()
	try(t, map[string]row{
		"one was dropped, so the other left without a record": {traced: "fw", with: sent(2), timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 drop=7
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"one left with a record, so the other left without": {traced: "fw", with: sent(2), timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw/wan out 63
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"one was let in, so the other left": {traced: "fw", with: sent(2), timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan> pre in 64
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, let in
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"an interface's hook drops what no other saw": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 >wan 63 device drop=6`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 6 of inet filter x
			request primary dropped@fw, over`},
		"an interface's hook lets pass what no other saw": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 >wan eg 63 device
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"an interface's hook takes one of two": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw #2 >mirror out post 63
			fw #2 >mirror eg 63 device
			fw #1 >wan eg 63 device drop=6
			fw/mirror out 63
			ids/mirror in 63`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 6 of inet filter x
			request copied at fw: out at fw/mirror, in at ids/mirror, did not leave
			request primary dropped@fw, open: the request came in at ids/mirror and did not leave`},
		"an interface's hook drops the copy that goes by it": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw #2 >wan out post 63
			fw #2 >wan eg 63 device
			fw #1 >wan eg 63 device drop=6
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at fw: at fw, dropped by rule 6 of inet filter x
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"a queue, named": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 took=queue by=5`, want: `
			request: out at pc/lan, in at fw/lan, taken (queue) by rule 5 of inet filter x
			request primary taken@fw, open: the request was taken (queue) by rule 5 of inet filter x at fw`},
		"a copy goes back over the bridge it came by": {traced: "fw", timeline: `
			pc/lan out 64
			fw/p0 in 64
			fw #1 p0> pre in 64 bridge
			fw/br0 in 64
			fw #2 br0>wan pre fwd 64>63 drop=9
			fw #3 >br0 out post 63
			fw/br0 out 63
			fw #3 >p1 out post 63 bridge drop=4`, want: `
			request: out at pc/lan, in at fw/p0, in at fw/br0, dropped by rule 9 of inet filter x
			request copied at fw: out at fw/br0, dropped by rule 4 of inet filter x
			request primary dropped@fw, over`},
		"a bridge tells two by their time to live": {with: sent(2), timeline: `
			pc/lan out 64
			pc/lan out 60
			fw/p0 in 64 foreign
			fw/p0 in 60 foreign
			fw/p1 out 60
			site/wan in 60`, want: `
			request: out at pc/lan, in at fw/p0, not bridged on
			request: out at pc/lan, in at fw/p0, out at fw/p1, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at fw/p0, and the bridge there did not hand it on; the request came in at site/wan, and what became of it was not seen`},
		"a group's packet is the one that came to the target": {timeline: `
			pc/lan out 64 to=239.1.1.1
			fw/lan in 64 to=239.1.1.1
			fw/wan out 63 to=239.1.1.1
			c/wan in 63 to=239.1.1.1
			site/wan in 63 to=239.1.1.1
			site/back out 63 to=239.1.1.1`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at site: out at site/back, came in nowhere
			request copied at fw: in at c/wan, did not leave
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen; the request left site/back and came in nowhere; the request came in at c/wan and did not leave`},
		"an answer is sent on by a program as its own": {traced: "fw", timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw #1 lan> pre in 64 id=5
			fw #2 >wan out post 64 id=6
			fw/wan out 64 id=6
			site/wan in 64 id=6
			site/wan out 64 answer id=7
			fw/wan in 64 answer id=7
			fw #3 wan> pre in 64 answer id=7
			fw #4 >lan out post 64 answer id=8
			fw/lan out 64 answer id=8
			pc/lan in 64 answer id=8`, want: `
			request: out at pc/lan, in at fw/lan, let in
			request copied at fw: out at fw/wan, in at site/wan, let in
			answer: out at site/wan, in at fw/wan, let in
			answer copied at fw: out at fw/lan, in at pc/lan, and what became of it was not seen
			request primary delivered@site, delivered, closed
			answer primary delivered@pc, delivered, open: the answer came in at pc/lan, and what became of it was not seen`},
		"a program that was not let have it sent nothing on": {traced: "fw", timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw #1 lan> pre in 64 id=5 drop=3
			fw #2 >wan out 64 id=6 drop=4`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 3 of inet filter x
			request copied at fw: at fw, dropped by rule 4 of inet filter x
			request primary dropped@fw, over`},
		"what comes back to the asker is not what it sends again": {with: sent(2), timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw/lan out 63 id=5
			pc/lan in 63 id=5
			pc/lan out 64 id=6
			fw/lan in 64 id=6`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/lan, in at pc/lan, did not leave
			request: out at pc/lan, in at fw/lan, did not leave
			request primary died@fw, open: the request came in at pc/lan and did not leave; the request came in at fw/lan and did not leave`},
		"the asker hands on what comes back": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/lan out 63
			pc/lan in 63
			pc/lan out 62
			fw/lan in 62`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/lan, in at pc/lan, out at pc/lan, in at fw/lan, did not leave
			request primary died@fw, open: the request came in at fw/lan and did not leave`},
		"two lost from sight, and one seen again": {traced: "fw", with: sent(2), timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw #1 lan>wan pre fwd post 64>63 id=5
			pc/lan out 64 id=6
			fw/lan in 64 id=6
			fw #2 lan>wan pre fwd post 64>63 id=6
			site/wan in 63 id=6`, want: `
			request: out at pc/lan, in at fw/lan, passed the rules for wan and did not leave
			request: out at pc/lan, in at fw/lan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: 2 passed the rules at fw and none left; the request was lost from sight on its way, and seen again; the request came in at site/wan, and what became of it was not seen`},
		"what was delivered is not what is seen elsewhere": {traced: "site", timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw/wan out 63 id=5
			site/wan in 63 id=5
			site #1 wan> pre in 63 id=5
			ids/mirror in 60 id=5`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			request: in at ids/mirror, did not leave
			request primary delivered@site, delivered, open: the request came in at ids/mirror and did not leave`},
		"nor where it was not traced": {timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw/wan out 63 id=5
			site/wan in 63 id=5
			ids/mirror in 60 id=5`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request: in at ids/mirror, did not leave
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen; the request came in at ids/mirror and did not leave`},
		"what a rule dropped is not what is seen elsewhere": {traced: "fw", timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw #1 lan>wan pre fwd 64 id=5 drop=3
			ids/mirror in 60 id=5`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 3 of inet filter x
			request: in at ids/mirror, did not leave
			request primary dropped@fw, open: the request came in at ids/mirror and did not leave`},
		"iptables-legacy at the target lets it in unseen": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site #0 wan> in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			request primary delivered@site, delivered, over`},
		"iptables-legacy at the target has nothing to say": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site #0 wan> 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"the target's interface hook lets it pass, and no other tells": {traced: "site", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site #1 wan> ing 63 device`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"a node's interface hook lets it pass, and no other tells": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan> ing 64 device`, want: `
			request: out at pc/lan, in at fw/lan, last seen in ingress
			request primary died@fw, open: the request came to ingress at fw and no farther`},
		"a packet and what the same number was before": {traced: "pc", with: sent(2), timeline: `
			pc #1 >lan out post 64 id=5
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			pc #1 >lan out post 64 id=6
			pc/lan out 64 id=6
			fw/lan in 64 id=6`, want: `
			request: out at pc/lan, in at fw/lan, did not leave
			request: out at pc/lan, in at fw/lan, did not leave
			request primary died@fw, open: the request came in at fw/lan and did not leave`},
		"what comes back to where it left": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			fw/wan in 63
			c/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at c/wan, in at fw/wan, did not leave
			request primary died@fw, open: the request was lost from sight on its way, and seen again; the request came in at fw/wan and did not leave`},
		"a tunnel's packets are matched by what they are": {timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw/wg0 out 63 id=5
			site/wg0 in 62 id=5`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wg0, in at site/wg0, and what became of it was not seen
			request primary delivered@site, delivered, open: the request was lost from sight on its way, and seen again; the request came in at site/wg0, and what became of it was not seen`},
		"a drop by two layers' rules of one node": {traced: "fw", timeline: `
			pc/lan out 64
			fw/p0 in 64
			fw #1 p0> pre in 64 bridge drop=2`, want: `
			request: out at pc/lan, in at fw/p0, dropped by rule 2 of inet filter x
			request primary dropped@fw, over`},
	})
}
