package account

import "testing"

// Of fragments that fare alike the packet is followed that they are of; else each by itself.
func TestFragments(t *testing.T) {
	t.Parallel()
	try(t, map[string]row{
		"all pass a router without rules": {timeline: `
			pc/lan out 64 id=7 piece=0+1480
			pc/lan out 64 id=7 piece=1480+20.
			fw/lan in 64 id=7 piece=0+1480
			fw/wan out 63 id=7 piece=0+1480
			fw/lan in 64 id=7 piece=1480+20.
			fw/wan out 63 id=7 piece=1480+20.
			site/wan in 63 id=7 piece=0+1480
			site/wan in 63 id=7 piece=1480+20.`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"smaller ones are made of them on the way": {timeline: `
			pc/lan out 64 id=7 len=1020
			fw/lan in 64 id=7 len=1020
			fw/wan out 63 id=7 piece=0+800
			fw/wan out 63 id=7 piece=800+200.
			site/wan in 63 id=7 piece=0+800
			site/wan in 63 id=7 piece=800+200.`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"one rule drops all": {traced: "fw", timeline: `
			pc/lan out 64 id=7 piece=0+1480
			pc/lan out 64 id=7 piece=1480+20.
			fw/lan in 64 id=7 piece=0+1480
			fw/lan in 64 id=7 piece=1480+20.
			fw #1 lan>wan pre fwd 64>63 drop=7 id=7 piece=0+1480
			fw #2 lan>wan pre fwd 64>63 drop=7 id=7 piece=1480+20.`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request primary dropped@fw, over`},
		"the later one is dropped, and the first arrives": {traced: "fw site", timeline: `
			pc/lan out 64 id=7 piece=0+1480
			pc/lan out 64 id=7 piece=1480+20.
			fw/lan in 64 id=7 piece=0+1480
			fw #1 lan>wan pre fwd post 64>63 id=7 piece=0+1480
			fw/wan out 63 id=7 piece=0+1480
			fw/lan in 64 id=7 piece=1480+20.
			fw #2 lan>wan pre fwd 64>63 drop=7 id=7 piece=1480+20.
			site/wan in 63 id=7 piece=0+1480
			site #1 wan> pre 63 id=7 piece=0+1480`, want: `
			fragment of the request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			fragment of the request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request primary dropped@fw, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"the first is dropped, and the later one arrives": {traced: "fw", timeline: `
			pc/lan out 64 id=7 piece=0+1480
			pc/lan out 64 id=7 piece=1480+20.
			fw/lan in 64 id=7 piece=0+1480
			fw #1 lan>wan pre fwd 64>63 drop=7 id=7 piece=0+1480
			fw/lan in 64 id=7 piece=1480+20.
			fw #2 lan>wan pre fwd post 64>63 id=7 piece=1480+20.
			fw/wan out 63 id=7 piece=1480+20.
			site/wan in 63 id=7 piece=1480+20.`, want: `
			fragment of the request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			fragment of the request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary dropped@fw, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"they are put together at the firewall, and dropped": {traced: "fw", timeline: `
			pc/lan out 64 id=7 piece=0+1480
			pc/lan out 64 id=7 piece=1480+20.
			fw/lan in 64 id=7 piece=0+1480
			fw #1 lan> pre 64 id=7 piece=0+1480
			fw/lan in 64 id=7 piece=1480+20.
			fw #2 lan> pre 64 id=7 piece=1480+20.
			fw #2 lan>wan pre fwd 64>63 drop=7 id=7 len=1520 gathered`, want: `
			request: out at pc/lan, in at fw/lan, dropped by rule 7 of inet filter x
			request primary dropped@fw, over`},
		"they are put together at the firewall, and taken apart again": {traced: "fw site", timeline: `
			pc/lan out 64 id=7 piece=0+1480
			pc/lan out 64 id=7 piece=1480+20.
			fw/lan in 64 id=7 piece=0+1480
			fw #1 lan> pre 64 id=7 piece=0+1480
			fw/lan in 64 id=7 piece=1480+20.
			fw #2 lan> pre 64 id=7 piece=1480+20.
			fw #2 lan>wan pre fwd post 64>63 id=7 len=1520 gathered
			fw/wan out 63 id=7 piece=0+1480
			fw/wan out 63 id=7 piece=1480+20.
			site/wan in 63 id=7 piece=0+1480
			site #3 wan> pre 63 id=7 piece=0+1480
			site/wan in 63 id=7 piece=1480+20.
			site #4 wan> pre 63 id=7 piece=1480+20.
			site #4 wan> in 63 id=7 len=1520 gathered drop=8`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, dropped by rule 8 of inet filter x
			request primary dropped@site, over`},
		"they wait at the firewall for one that was lost": {traced: "fw", timeline: `
			pc/lan out 64 id=7 piece=0+1480
			pc/lan out 64 id=7 piece=1480+20.
			fw/lan in 64 id=7 piece=0+1480
			fw #1 lan> pre 64 id=7 piece=0+1480`, want: `
			fragment of the request: out at pc/lan, in at fw/lan, last seen in prerouting
			fragment of the request: out at pc/lan, came in nowhere
			request primary onthelink@pc, open: the request came to prerouting at fw and no farther; the request left pc/lan and came in nowhere`},
		"the sender's rules see it whole": {traced: "pc", timeline: `
			pc #1 >lan out post 64 id=7 len=1520
			pc/lan out 64 id=7 piece=0+1480
			pc/lan out 64 id=7 piece=1480+20.
			fw/lan in 64 id=7 piece=0+1480`, want: `
			fragment of the request: out at pc/lan, in at fw/lan, did not leave
			fragment of the request: out at pc/lan, came in nowhere
			request primary onthelink@pc, open: the request came in at fw/lan and did not leave; the request left pc/lan and came in nowhere`},
	})
}
