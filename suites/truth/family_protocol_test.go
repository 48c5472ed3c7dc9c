package truth_test

import (
	"context"
	"fmt"
	"net"
	"slices"

	"golang.org/x/sys/unix"
)

// protocols are those that rules name and that are neither ICMP, TCP nor UDP. A check
// without probes has to find them.
var protocols = family{"protocol", []row{
	{name: "another protocol is let through", weight: 2, add: func(g *generator) {
		at := g.anyRouter()
		if at == "br" {
			return
		}
		accept := pick(g.r, "meta l4proto 47 accept", "meta l4proto { 47, 50 } accept", "meta l4proto { gre, esp } counter accept")
		g.nft(at, g.filter("inet", g.hook(at), "drop", append(discovery("inet"), accept)...)).speaks = unix.IPPROTO_GRE
		g.wonder(every)
	}},
	{name: "another protocol is dropped", add: func(g *generator) {
		at := g.anyRouter()
		if at != "br" {
			g.nft(at, g.filter("inet", g.hook(at), "accept", "meta l4proto 47 counter drop", g.simple("inet", g.hook(at))+" counter drop"))
		}
	}},
}}

// gre is asked with what no tunnel would say: the packet is what counts.
const gre = "gre"

// spoken are the other protocols that are tried.
func (w *world) spoken() (all []int) {
	for _, p := range w.parts {
		if p.speaks != 0 && !slices.Contains(all, p.speaks) {
			all = append(all, p.speaks)
		}
	}
	return all
}

func (w *world) speaksGRE() bool { return slices.Contains(w.spoken(), unix.IPPROTO_GRE) }

// send sends a packet of another protocol: nobody answers it.
func (o *oracle) send(ctx context.Context, f *fact, token string) {
	network := map[bool]string{false: "ip4", true: "ip6"}[f.to.Is6()] + fmt.Sprintf(":%d", unix.IPPROTO_GRE)
	f.unsent = o.lab.Node(f.from).Do(func() error {
		defer as(f.uid)()
		dialer := net.Dialer{Control: f.choose}
		if f.src.IsValid() {
			dialer.LocalAddr = &net.IPAddr{IP: f.src.AsSlice()}
		}
		conn, err := dialer.DialContext(ctx, network, f.to.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte(token))
		return err
	})
	turns(ctx, o.bound)
}
