package account

import "testing"

func TestNodesAndTheirRules(t *testing.T) {
	t.Parallel()
	try(t, map[string]row{
		"answered": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site/wan out 64 answer
			fw/wan in 64 answer
			fw/lan out 63 answer
			pc/lan in 63 answer`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			answer: out at site/wan, in at fw/wan, out at fw/lan, in at pc/lan, and what became of it was not seen
			request primary delivered@site, delivered, over
			answer primary delivered@pc, delivered, open: the answer came in at pc/lan, and what became of it was not seen`},
		"every node is traced": {traced: "pc fw site", timeline: `
			pc #1 >lan out post 64
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw/wan out 63
			site/wan in 63
			site #1 wan> pre in 63
			site #2 >wan out post 64 answer
			site/wan out 64 answer
			fw/wan in 64 answer
			fw #2 wan>lan pre fwd 64>63 answer drop=5`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			answer: out at site/wan, in at fw/wan, dropped by rule 5 of inet filter x
			request primary delivered@site, delivered, over
			answer primary dropped@fw, over`},
		"the answer goes another way": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw/wan out 63
			site/wan in 63
			site/back out 64 answer
			ids/back in 64 answer
			ids/mirror out 63 answer
			fw/mirror in 63 answer
			fw #2 mirror>lan pre 63 answer drop=0`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			answer: out at site/back, in at ids/back, out at ids/mirror, in at fw/mirror, dropped by policy drop of inet filter x
			request primary delivered@site, delivered, over
			answer primary dropped@fw, over`},
		"a rule rejects it": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #2 >lan out post 64 refusal
			fw/lan out 64 refusal
			pc/lan in 64 refusal
			fw #1 lan>wan pre fwd 64>63 drop=8`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 8 of inet filter x
			refusal: out at fw/lan, in at pc/lan, and what became of it was not seen
			request primary dropped@fw, over
			refusal primary delivered@pc, delivered, open: the refusal came in at pc/lan, and what became of it was not seen`},
		"the target refuses it": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site/wan out 64 refusal
			fw/wan in 64 refusal
			fw/lan out 63 refusal
			pc/lan in 63 refusal`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			refusal: out at site/wan, in at fw/wan, out at fw/lan, in at pc/lan, and what became of it was not seen
			request primary delivered@site, delivered, over
			refusal primary delivered@pc, delivered, open: the refusal came in at pc/lan, and what became of it was not seen`},
		"an error about the answer": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site/wan out 64 answer
			fw/wan in 64 answer
			fw/wan out 64 undone
			site/wan in 64 undone`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			answer: out at site/wan, in at fw/wan, did not leave
			error about the answer: out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, over
			answer primary died@fw, open: the answer came in at fw/wan and did not leave
			error about the answer primary delivered@site, delivered, open: the error about the answer came in at site/wan, and what became of it was not seen`},
		"DNAT to another": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63 nat=10.0.9.3
			fw/wan out 63 to=10.0.9.3
			c/wan in 63 to=10.0.9.3`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at c/wan, did not leave
			request primary died@c, open: the request came in at c/wan and did not leave`},
		"redirect to the node itself": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan> pre in 64 nat=10.0.1.254`, want: `
			request: out at pc/lan, in at fw/lan, let in
			request primary delivered@fw, closed`},
		"the target's input rules": {traced: "site", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site #1 wan> pre in 63 drop=0`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, dropped by policy drop of inet filter x
			request primary dropped@site, over`},
		"the target's kernel takes it before the input rules": {traced: "site", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site #1 wan> pre 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, last seen in prerouting
			request primary died@site, open: the request came to prerouting at site and no farther`},
		"something takes it before the target's rules": {traced: "site", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"something takes it before fw's rules": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64`, want: `
			request: out at pc/lan, in at fw/lan, did not leave
			request primary died@fw, open: the request came in at fw/lan and did not leave`},
		"the kernel takes it between the hooks": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan> pre 64`, want: `
			request: out at pc/lan, in at fw/lan, last seen in prerouting
			request primary died@fw, open: the request came to prerouting at fw and no farther`},
		"the asker's own rules": {traced: "pc", timeline: `
			pc #1 >lan out 64 drop=3`, want: `
			request: at pc, dropped by rule 3 of inet filter x
			request primary dropped@pc, over`},
		"an interface's egress hook": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw #1 >wan eg 63 device drop=6`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 6 of inet filter x
			request primary dropped@fw, over`},
		"a queue without a program": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 took=queue`, want: `
			request: out at pc/lan, in at fw/lan, taken (queue)
			request primary taken@fw, open: the request was taken (queue) at fw`},
		"a program lets it go on": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 took=queue
			fw/wan out 63 +700
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"synproxy": {traced: "fw", timeline: `
			pc/lan out 64 id=3
			fw/lan in 64 id=3
			fw #1 lan> pre in 64 id=3 took=stolen
			fw #2 >lan out post 64 answer
			fw/lan out 64 answer
			pc/lan in 64 answer`, want: `
			request: out at pc/lan, in at fw/lan, taken (stolen)
			answer: out at fw/lan, in at pc/lan, and what became of it was not seen
			request primary taken@fw, open: the request was taken (stolen) at fw
			answer primary delivered@pc, delivered, open: the answer came in at pc/lan, and what became of it was not seen`},
		"a flowtable": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"iptables-legacy": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #0 lan>wan fwd 64>63 drop=2`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 2 of inet filter x
			request primary dropped@fw, over`},
		"iptables-legacy with a TEE rule": {with: func(in *Input) { in.Nodes["fw"] = Node{Opaque: "iptables-legacy has a TEE rule"} }, timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #0 lan>wan fwd 64>63 drop=2`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 2 of inet filter x
			request primary dropped@fw, open: fw may have copied the request unseen: iptables-legacy has a TEE rule`},
		"an attached target that hands it on": {with: func(in *Input) { in.Nodes["site"] = Node{Opaque: "its rules are not traced"} }, timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site/back out 62
			ids/back in 62`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request copied at site: out at site/back, in at ids/back, did not leave
			request primary delivered@site, delivered, open: site may have copied the request unseen: its rules are not traced; the request came in at site/wan, and what became of it was not seen; the request came in at ids/back and did not leave`},
		"the target hands it on": {traced: "ids", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site/back out 62
			ids/back in 62
			ids #1 back>mirror pre fwd 62>61 drop=2`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, out at site/back, in at ids/back, dropped by rule 2 of inet filter x
			request primary dropped@ids, over`},
		"events were lost": {traced: "fw", with: func(in *Input) { in.Lost = "node fw: packets were lost at the tap" }, timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 drop=7`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request primary dropped@fw, open: node fw: packets were lost at the tap`},
		"nothing was seen": {timeline: ``, want: `
			request: given to the kernel of pc and seen nowhere
			request primary unsent@pc, open: the kernel of pc was given a request that was seen nowhere`},
		"fragments stand for one": {traced: "fw", timeline: `
			pc/lan out 64 len=1500
			fw/lan in 64 len=1500
			fw #1 lan>wan pre fwd 64>63 len=3000 drop=7`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request primary dropped@fw, over`},
	})
}

func TestRetransmissions(t *testing.T) {
	t.Parallel()
	try(t, map[string]row{
		"the first is dropped, the second delivered": {traced: "fw", with: sent(2), timeline: `
			pc/lan out 64 id=1
			fw/lan in 64 id=1
			fw #1 lan>wan pre fwd 64>63 drop=7 id=1
			pc/lan out 64 id=2 +1000000
			fw/lan in 64 id=2
			fw #1 lan>wan pre fwd post 64>63 id=2
			fw/wan out 63 id=2
			site/wan in 63 id=2`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"both are dropped": {traced: "fw", with: sent(2), timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 drop=7
			pc/lan out 64 +1000000
			fw/lan in 64
			fw #2 lan>wan pre fwd 64>63 drop=7`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request primary dropped@fw, over`},
		"the second waits for the asker's neighbour": {traced: "fw", with: sent(2), timeline: `
			pc/lan out 64 id=1
			fw/lan in 64 id=1
			fw #1 lan>wan pre fwd 64>63 drop=7 id=1`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request: given to the kernel of pc and seen nowhere
			request primary dropped@fw, open: the kernel of pc was given a request that was seen nowhere`},
		"the second overtakes the first": {traced: "fw", with: sent(2), timeline: `
			pc/lan out 64 id=1
			fw/lan in 64 id=1
			fw #1 lan>wan pre fwd post 64>63 id=1
			pc/lan out 64 id=2
			fw/lan in 64 id=2
			fw #2 lan>wan pre fwd post 64>63 id=2
			fw/wan out 63 id=2
			site/wan in 63 id=2
			site #1 wan> pre in 63 id=2 drop=4
			fw/wan out 63 id=1
			site/wan in 63 id=1
			site #2 wan> pre in 63 id=1`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, dropped by rule 4 of inet filter x
			request primary delivered@site, delivered, over`},
		"the answer is sent again": {traced: "site", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63
			site #1 wan> pre in 63
			site #2 >wan out post 64 answer drop=3
			site #3 >wan out 64 answer drop=3`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, let in
			answer: at site, dropped by rule 3 of inet filter x
			answer: at site, dropped by rule 3 of inet filter x
			request primary delivered@site, delivered, over
			answer primary dropped@site, over`},
	})
}

func sent(n int) func(*Input) { return func(in *Input) { in.Sent = n } }
