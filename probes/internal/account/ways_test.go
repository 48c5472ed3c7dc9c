package account

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDevices(t *testing.T) {
	t.Parallel()
	try(t, map[string]row{
		"a VLAN": {traced: "fw", timeline: `
			pc/eth5 out 64
			pc/eth0 out 64
			fw/eth0 in 64
			fw/eth5 in 64
			fw #1 eth5> ing 64 device
			fw #2 eth5>wan pre fwd 64>63 drop=4`, want: `
			request: out at pc/eth5, out at pc/eth0, in at fw/eth0, in at fw/eth5, dropped by rule 4 of inet filter x
			request primary dropped@fw, over`},
		"a VLAN out": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #2 lan>eth5 pre fwd post 64>63
			fw/eth5 out 63
			fw/eth0 out 63
			site/eth0 in 63
			site/eth5 in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/eth5, out at fw/eth0, in at site/eth0, in at site/eth5, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/eth0, and what became of it was not seen`},
		"a VRF": {traced: "fw", timeline: `
			pc/lan out 64
			fw/v0 in 64
			fw #1 v0> pre 64
			fw #2 vrf0>wan pre fwd 64>63 drop=4`, want: `
			request: out at pc/lan, in at fw/v0, dropped by rule 4 of inet filter x
			request primary dropped@fw, over`},
		"a VRF sends": {traced: "pc", timeline: `
			pc #1 >vrf0 out post 64
			pc #1 >v0 out post 64
			pc/v0 out 64
			fw/lan in 64`, want: `
			request: out at pc/v0, in at fw/lan, did not leave
			request primary died@fw, open: the request came in at fw/lan and did not leave`},
		"a bond": {timeline: `
			pc/bond0 out 64
			pc/b0 out 64
			fw/b0 in 64
			fw/bond0 in 64
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/bond0, out at pc/b0, in at fw/b0, in at fw/bond0, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"a device that nothing is known of": {with: func(in *Input) {
			in.Links["fw"] = slices.DeleteFunc(in.Links["fw"], func(l Link) bool { return l.Name == "wg0" })
		}, timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wg0 in 64
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, in at fw, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"a tunnel": {traced: "site", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wg0 out 63
			site/wg0 in 63
			site #1 wg0> pre in 63 drop=6`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wg0, in at site/wg0, dropped by rule 6 of inet filter x
			request primary dropped@site, over`},
		"a tunnel that loses it": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wg0 out 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wg0, came in nowhere
			request primary onthelink@fw, open: the request left fw/wg0 and came in nowhere`},
		"a bridge as firewall drops": {traced: "", timeline: `
			pc/lan out 64
			fw/p0 in 64 foreign
			fw #1 p0>p1 pre fwd 64 bridge drop=5`, want: `
			request: out at pc/lan, in at fw/p0, dropped by rule 5 of inet filter x
			request primary dropped@fw, over`},
		"a bridge hands on": {timeline: `
			pc/lan out 64
			fw/p0 in 64 foreign
			fw #1 p0>p1 pre fwd post 64 bridge
			fw/p1 out 64
			site/wan in 64`, want: `
			request: out at pc/lan, in at fw/p0, out at fw/p1, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"a bridge does not": {timeline: `
			pc/lan out 64
			fw/p0 in 64 foreign`, want: `
			request: out at pc/lan, in at fw/p0, not bridged on
			request primary died@fw, open: the request came in at fw/p0, and the bridge there did not hand it on`},
		"a bridge floods": {traced: "", timeline: `
			pc/lan out 64
			fw/p0 in 64 foreign
			fw #1 p0>p2 pre fwd post 64 bridge
			fw #2 p0>p1 fwd post 64 bridge
			fw/p1 out 64
			fw/p2 out 64
			ids/mirror in 64 foreign
			site/wan in 64`, want: `
			request: out at pc/lan, in at fw/p0, out at fw/p1, in at site/wan, and what became of it was not seen
			request in a frame for another host: out at fw/p2, in at ids/mirror, not for this node
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"a bridge floods, and its rules drop one": {traced: "", timeline: `
			pc/lan out 64
			fw/p0 in 64 foreign
			fw #1 p0>p2 pre fwd post 64 bridge
			fw #2 p0>p1 fwd post 64 bridge drop=3
			fw/p2 out 64
			ids/mirror in 64 foreign`, want: `
			request: out at pc/lan, in at fw/p0, dropped by rule 3 of inet filter x
			request in a frame for another host: out at fw/p2, in at ids/mirror, not for this node
			request primary dropped@fw, over`},
		"a bridge floods, and its rules drop all before they are through": {traced: "", timeline: `
			pc/lan out 64
			fw/p0 in 64 foreign
			fw #1 p0>p2 pre 64 bridge drop=4
			fw #2 p0>p1 64 bridge drop=3`, want: `
			request: out at pc/lan, in at fw/p0, dropped by rule 4 of inet filter x
			request copied at fw: at fw, dropped by rule 3 of inet filter x
			request primary dropped@fw, over`},
		"a bridge hands its node what is for another": {timeline: `
			pc/lan out 64
			fw/p0 in 64 foreign
			fw/br0 in 64 foreign`, want: `
			request: out at pc/lan, in at fw/p0, in at fw/br0, not bridged on
			request primary died@fw, open: the request came in at fw/br0, and the bridge there did not hand it on`},
		"a promiscuous bridge hands its node what it bridges": {timeline: `
			pc/lan out 64
			fw/p0 in 64 foreign
			fw/br0 in 64 foreign
			fw/p1 out 64
			site/wan in 64`, want: `
			request: out at pc/lan, in at fw/p0, out at fw/p1, in at site/wan, and what became of it was not seen
			request in a frame for another host: in at fw/br0, not for this node
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"a bridge hands it to its node, which routes it": {traced: "fw", timeline: `
			pc/lan out 64
			fw/p0 in 64
			fw #1 p0> pre in 64 bridge
			fw/br0 in 64
			fw #2 br0>wan pre fwd 64>63 drop=9`, want: `
			request: out at pc/lan, in at fw/p0, in at fw/br0, dropped by rule 9 of inet filter x
			request primary dropped@fw, over`},
		"a VLAN on a bridge": {traced: "fw", timeline: `
			pc/lan out 64
			fw/p0 in 64
			fw/br0 in 64
			fw/br0.5 in 64
			fw #2 br0.5>wan pre fwd 64>63 drop=9`, want: `
			request: out at pc/lan, in at fw/p0, in at fw/br0, in at fw/br0.5, dropped by rule 9 of inet filter x
			request primary dropped@fw, over`},
		"a node sends by its bridge": {traced: "pc fw", timeline: `
			pc #1 >br0 out post 64
			pc/br0 out 64
			pc #1 >p0 out post 64 bridge
			pc/p0 out 64
			fw/lan in 64
			fw #1 lan> pre 64 drop=2`, want: `
			request: out at pc/br0, out at pc/p0, in at fw/lan, dropped by rule 2 of inet filter x
			request primary dropped@fw, over`},
		"a node's bridge drops what it sends": {traced: "pc", timeline: `
			pc #1 >br0 out post 64
			pc/br0 out 64
			pc #1 >p0 out 64 bridge drop=8`, want: `
			request: out at pc/br0, dropped by rule 8 of inet filter x
			request primary dropped@pc, over`},
		"a node's bridge floods what it sends": {traced: "pc", timeline: `
			pc #1 >br0 out post 64
			pc/br0 out 64
			pc #2 >p0 out post 64 bridge
			pc/p0 out 64
			pc #1 >p2 out post 64 bridge
			pc/p2 out 64
			fw/lan in 64
			ids/mirror in 64 foreign`, want: `
			request: out at pc/br0, out at pc/p0, in at fw/lan, did not leave
			request in a frame for another host: out at pc/p2, in at ids/mirror, not for this node
			request primary died@fw, open: the request came in at fw/lan and did not leave`},
		"loopback": {with: self, timeline: `
			pc/lo out 64
			pc/lo in 64`, want: `
			request: out at pc/lo, in at pc/lo, and what became of it was not seen
			request primary delivered@pc, delivered, open: the request came in at pc/lo, and what became of it was not seen`},
		"loopback with rules": {traced: "pc", with: self, timeline: `
			pc #1 >lo out post 64
			pc/lo out 64
			pc/lo in 64
			pc #2 lo> pre in 64 drop=3`, want: `
			request: out at pc/lo, in at pc/lo, dropped by rule 3 of inet filter x
			request primary dropped@pc, over`},
	})
}

func self(in *Input) { in.Target, in.Way = "pc", []string{"pc"} }

func TestDetours(t *testing.T) {
	t.Parallel()
	try(t, map[string]row{
		"clocks differ": {with: func(in *Input) {
			for i, us := range []int{40, 0, 20, 5} {
				in.Sightings[i].At = time.UnixMicro(int64(begin + us))
			}
		}, timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/wan out 63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request came in at site/wan, and what became of it was not seen`},
		"back by the link it came": {timeline: `
			pc/lan out 64
			fw/lan in 64
			fw/lan out 63
			pc/lan in 63`, want: `
			request: out at pc/lan, in at fw/lan, out at fw/lan, in at pc/lan, did not leave
			request primary died@pc, open: the request came in at pc/lan and did not leave`},
		"it comes by a node that nobody watches": {traced: "site", with: func(in *Input) { delete(in.Nodes, "fw") }, timeline: `
			pc/lan out 64
			site/wan in 63
			site #1 wan> pre in 63 drop=2`, want: `
			request: out at pc/lan, in at site/wan, dropped by rule 2 of inet filter x
			request primary dropped@site, open: the request was lost from sight on its way, and seen again`},
		"it goes where nobody watches": {with: func(in *Input) { delete(in.Nodes, "fw") }, timeline: `
			pc/lan out 64`, want: `
			request: out at pc/lan, nobody watches where it went
			request primary unknown@pc, open: the request left pc/lan, where nobody watches`},
		"by an encrypted way without a device": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			site/wan in 63`, want: `
			request: out at pc/lan, in at fw/lan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request was lost from sight on its way, and seen again; the request came in at site/wan, and what became of it was not seen`},
		"tc sends it by another interface": {traced: "fw", timeline: `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>wan pre fwd post 64>63
			fw/mirror out 63
			ids/mirror in 63`, want: `
			request: out at pc/lan, in at fw/lan, passed the rules for wan and did not leave
			request copied at fw: out at fw/mirror, in at ids/mirror, did not leave
			request primary waiting@fw, open: 1 passed the rules at fw and none left; the request came in at ids/mirror and did not leave`},
		"an asker that nobody watches": {traced: "fw", with: func(in *Input) { in.Asker = ""; delete(in.Nodes, "pc") }, timeline: `
			fw/lan in 64
			fw #1 lan>wan pre fwd 64>63 drop=7`, want: `
			request: in at fw/lan, dropped by rule 7 of inet filter x
			request primary dropped@fw, over`},
		"a program elsewhere sends one": {timeline: `
			pc/lan out 64 id=4
			c/wan out 64 id=8
			site/wan in 64 id=8`, want: `
			request: out at pc/lan, came in nowhere
			request copied at c: out at c/wan, in at site/wan, and what became of it was not seen
			request primary delivered@site, delivered, open: the request left pc/lan and came in nowhere; the request came in at site/wan, and what became of it was not seen`},
	})
}

// loop is a timeline of two routers that send a packet to each other.
func loop(ttl int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "pc/lan out %d\nfw/lan in %d\nfw #%d lan>side pre fwd post %d>%d\n", ttl, ttl, ttl, ttl, ttl-1)
	for ttl--; ; ttl-- {
		fmt.Fprintf(&text, "fw/side out %d\ntwo/side in %d\n", ttl, ttl)
		if ttl--; ttl == 0 {
			return text.String()
		}
		fmt.Fprintf(&text, "two/side out %d\nfw/side in %d\nfw #%d side>side pre fwd post %d>%d\n", ttl, ttl, ttl, ttl, ttl-1)
		if ttl == 1 {
			return strings.Replace(text.String(), "side>side pre fwd post 1>0", "side> pre 1", 1)
		}
	}
}

func TestLoopsEnd(t *testing.T) {
	t.Parallel()
	for _, ttl := range []int{4, 5, 64, 255} {
		a := Of(scene(t, "fw", loop(ttl)))
		if len(a.Packets) != 1 {
			t.Fatalf("time to live %d: %d packets, want one", ttl, len(a.Packets))
		}
		p := a.Packets[0]
		if p.End.Kind != Died || p.End.TTL != 1 || len(p.Way) != 2*ttl-0 {
			t.Errorf("time to live %d: %d places, end %+v", ttl, len(p.Way), p.End)
		}
		if a.Closed(Request) || a.Delivered() {
			t.Errorf("time to live %d: closed or delivered", ttl)
		}
	}
}
