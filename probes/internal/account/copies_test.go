package account

import "testing"

func TestCopies(t *testing.T) {
	t.Parallel()
	try(t, map[string]row{
		"the copy comes to the target by another way": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 drop=4
			fw #2 >mirror out post 63
			fw/mirror out 63
			ids/mirror in 63
			ids/back out 62
			site/back in 62`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 4 of inet filter x
			request copied at fw: out at fw/mirror, in at ids/mirror, out at ids/back, in at site/back, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/back, and what became of it was not seen`},
		"fwd takes it away": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>mirror ing 64 device took=stolen
			fw/mirror out 64
			ids/mirror in 64`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/mirror, in at ids/mirror, did not leave
			request primary died@ids, open: the request came in at ids/mirror and did not leave`},
		"fwd to a link that queues": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>mirror ing 64 device took=stolen`, want: `
			request: out at pc/lan, in at fw/lan, taken (stolen)
			request primary taken@fw, open: the request was taken (stolen) at fw`},
		"dup of an interface's own hook": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/mirror out 64
			ids/mirror in 64
			fw #1 lan> ing 64 device
			fw #1 lan>wan pre fwd 64>63 drop=3`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 3 of inet filter x
			request copied at fw: out at fw/mirror, in at ids/mirror, did not leave
			request primary dropped@fw, open: the request came in at ids/mirror and did not leave`},
		"tee in the forward hook": {traced: "fw", timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw #1 lan>wan pre fwd post 64>63 id=5
			fw #2 >mirror out post 63 id=5
			fw/mirror out 63 id=5
			fw/wan out 63 id=5
			site/wan in 63 id=5
			ids/mirror in 63 id=5`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at fw: out at fw/mirror, in at ids/mirror, did not leave
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen; the request came in at ids/mirror and did not leave`},
		"dup in the asker's output hook": {traced: "pc fw", timeline: `
			pc #1 >lan out post 64 id=5
			pc #2 >lan out post 64 id=5
			pc/lan out 64 id=5
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw/lan in 64 id=5
			fw #1 lan>wan pre fwd 64>63 drop=3 id=5
			fw #2 lan>wan pre fwd 64>63 drop=3 id=5`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 3 of inet filter x
			request copied at pc: out at pc/lan, in at fw/lan, dropped by rule 3 of inet filter x
			request primary dropped@fw, over`},
		"the same where packets have no identity": {traced: "pc fw", timeline: `
			pc #1 >lan out post 64
			pc #2 >lan out post 64
			pc/lan out 64
			pc/lan out 64
			fw/lan in 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 drop=3
			fw #2 lan>wan pre fwd 64>63 drop=3`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 3 of inet filter x
			request copied at pc: out at pc/lan, in at fw/lan, dropped by rule 3 of inet filter x
			request primary dropped@fw, over`},
		"two copies come in and one leaves": {timeline: `
			pc/lan out 64 id=5
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw/lan in 64 id=5
			fw/wan out 63 id=5
			site/wan in 63 id=5`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at pc: out at pc/lan, in at fw/lan, did not leave
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen; the request came in at fw/lan and did not leave`},
		"a mirror of tc, and the packet dies": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/mirror out 64
			ids/mirror in 64`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/mirror, in at ids/mirror, did not leave
			request primary died@ids, open: the request left fw as it had come, by a program or a mirror: it may be there still; the request came in at ids/mirror and did not leave`},
		"a mirror of tc, whose rules drop it": {traced: "ids", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/mirror out 64
			ids/mirror in 64
			ids #1 mirror> pre 64 drop=1`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/mirror, in at ids/mirror, dropped by rule 1 of inet filter x
			request primary dropped@ids, open: the request left fw as it had come, by a program or a mirror: it may be there still`},
		"two copies come in, one is mirrored, one forwarded": {traced: "", timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			pc/lan out 64 id=6
			fw/lan in 64 id=6
			fw/wan out 63 id=6
			fw/mirror out 64 id=5
			site/wan in 63 id=6
			ids/mirror in 64 id=5`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/mirror, in at ids/mirror, did not leave
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request left fw as it had come, by a program or a mirror: it may be there still; the request came in at ids/mirror and did not leave; the request came in at site/wan, and what became of it was not seen`},
		"a mirror of tc at the target": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site/back out 63
			ids/back in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at site: out at site/back, in at ids/back, did not leave
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen; the request came in at ids/back and did not leave`},
		"netem duplicates": {traced: "fw", timeline: `
			pc/lan out 64 id=5
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw #1 lan>wan pre fwd 64>63 drop=3 id=5
			fw/lan in 64 id=5
			fw #2 lan>wan pre fwd 64>63 drop=3 id=5`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 3 of inet filter x
			request copied at pc: out at pc/lan, in at fw/lan, dropped by rule 3 of inet filter x
			request primary dropped@fw, over`},
		"multicast, forwarded to two links": {traced: "fw", timeline: `
			pc/lan out 64 to=239.1.1.1
			fw/lan in 64 to=239.1.1.1
			fw #1 lan> pre in 64 to=239.1.1.1
			fw #2 lan>wan fwd post 63 to=239.1.1.1
			fw #3 lan>mirror fwd 63 to=239.1.1.1 drop=4
			fw/wan out 63 to=239.1.1.1
			site/wan in 63 to=239.1.1.1
			c/wan in 63 to=239.1.1.1`, want: `
			request: out at pc/lan, in at fw/lan, let in
			request copied at fw: out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at fw: in at c/wan, did not leave
			request copied at fw: at fw, dropped by rule 4 of inet filter x
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen; the request came in at c/wan and did not leave`},
		"a switch floods": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw/wan out 63
			c/wan in 63 foreign
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request in a frame for another host: in at c/wan, not for this node
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"a flooded frame dies at a third node's own hook": {traced: "fw c", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw/wan out 63
			c/wan in 63 foreign
			c #1 wan> ing 63 device drop=4
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request in a frame for another host: in at c/wan, dropped by rule 4 of inet filter x
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"and the packet itself is lost": {traced: "fw c", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw/wan out 63
			c/wan in 63 foreign
			c #1 wan> ing 63 device drop=4`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, came in nowhere
			request in a frame for another host: in at c/wan, dropped by rule 4 of inet filter x
			request primary onthelink@fw, open: the request left fw/wan and came in nowhere`},
		"a third node hands on what was not for it": {traced: "fw", with: func(in *Input) {
			in.Links["c"] = append(in.Links["c"], Link{Index: 9, Name: "back", Segment: "back"})
			in.Sightings[len(in.Sightings)-1].Index = 9
		}, timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw/wan out 63
			c/wan in 63 foreign
			c/wan out 62`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at c/wan, out at c/back, came in nowhere
			request primary onthelink@c, open: the request left c/back and came in nowhere`},
		"a program hands on a copy and the packet, which were not for its node": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/side out 64
			fw #1 lan>side pre fwd post 64>63
			fw/side out 63
			two/side in 64 foreign
			two/side in 63 foreign
			two/far out 64 +30000
			site/far in 64 foreign
			two/far out 63
			site/far in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/side, in at two/side, out at two/far, in at site/far, and what became of it was not seen
			request copied at fw: out at fw/side, in at two/side, out at two/far, came in nowhere
			request in a frame for another host: in at site/far, not for this node
			request primary delivered@site, delivered, open: the request left two as it had come, by a program or a mirror: it may be there still; the request came in at site/far, and what became of it was not seen; the request left two/far and came in nowhere`},
		"dup to another on the same switch": {traced: "fw c", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw #2 >wan out post 63
			fw/wan out 63
			fw/wan out 63
			c/wan in 63
			c #1 wan> pre 63 drop=3
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at fw: out at fw/wan, in at c/wan, dropped by rule 3 of inet filter x
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"dup to another on the same switch, and the packet is lost": {traced: "fw c", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw #2 >wan out post 63
			fw/wan out 63
			fw/wan out 63
			c/wan in 63
			c/wan in 63 foreign
			c #1 wan> pre 63 drop=3`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, came in nowhere
			request in a frame for another host: in at c/wan, not for this node
			request copied at fw: out at fw/wan, in at c/wan, dropped by rule 3 of inet filter x
			request primary onthelink@fw, open: the request left fw/wan and came in nowhere`},
		"an address is asked": {with: func(in *Input) { in.Target, in.Owners = "", []string{"c", "site"} }, timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"an address that no node is known to have, and one answers": {with: func(in *Input) { in.Target = "" }, timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site/wan out 64 answer`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			answer: out at site/wan, came in nowhere
			request primary delivered@site, closed
			answer primary onthelink@site, open: the answer left site/wan and came in nowhere`},
		"a wrong MAC": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63 foreign`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, came in nowhere
			request in a frame for another host: in at site/wan, not for this node
			request primary onthelink@fw, open: the request left fw/wan and came in nowhere`},
		"a copy dies in the copier's own output, and the packet of something else": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan> pre 64
			fw #2 >mirror out 64 drop=3`, want: `
			request: out at pc/lan, in at fw/lan, last seen in prerouting
			request copied at fw: at fw, dropped by rule 3 of inet filter x
			request primary died@fw, open: the request came to prerouting at fw and no farther`},
		"a copy dies at the target, and the packet before": {traced: "fw site", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan> pre 64
			fw #2 >wan out post 64
			fw/wan out 64
			site/wan in 64
			site #1 wan> pre 64 drop=3`, want: `
			request: out at pc/lan, in at fw/lan, last seen in prerouting
			request copied at fw: out at fw/wan, in at site/wan, dropped by rule 3 of inet filter x
			request primary died@fw, open: the request came to prerouting at fw and no farther`},
		"what a program sends on in a packet's stead is no copy of it": {traced: "fw site", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan> pre in 64
			fw #2 >wan out post 60
			fw/wan out 60
			site/wan in 60
			site #1 wan> pre 60 drop=3`, want: `
			request: out at pc/lan, in at fw/lan, let in
			request copied at fw: out at fw/wan, in at site/wan, dropped by rule 3 of inet filter x
			request primary dropped@site, closed`},
		"a copy that a node lets in": {traced: "fw ids", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 drop=4
			fw #2 >mirror out post 63
			fw/mirror out 63
			ids/mirror in 63
			ids #1 mirror> pre in 63`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 4 of inet filter x
			request copied at fw: out at fw/mirror, in at ids/mirror, let in
			request primary dropped@fw, closed`},
		"a program gets it and sends it on as its own": {traced: "fw", timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw #1 lan> pre in 64 id=5
			fw #2 >wan out post 64 id=9
			fw/wan out 64 id=9
			site/wan in 64 id=9`, want: `
			request: out at pc/lan, in at fw/lan, let in
			request copied at fw: out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"the same at a node without rules": {timeline: `
			pc/lan out 64 id=5
			fw/lan in 64 id=5
			fw/wan out 64 id=9
			site/wan in 64 id=9`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
	})
}
