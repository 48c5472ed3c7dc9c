package probes

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// mostCarried is how many tunnels in each other are looked below. A route may lead what carries a
// tunnel into itself.
const mostCarried = 3

// below finds out why what carries a tunnel's packets is lost: by a packet of that kind from one end
// to the other, and then the other way. It is another packet, so that what stops it is told and
// never shows that anybody is isolated: a rule may let what belongs to the tunnel through.
func (a *asking) below(c evidence.Cause) evidence.Cause {
	if c.Carrier == nil || a.deep == mostCarried || a.ctx.Err() != nil {
		return c
	}
	for _, carrier := range []evidence.Carrier{*c.Carrier, c.Carrier.Back()} {
		r, err := a.carry(carrier)
		if err != nil {
			return c // what is said of the probe does not rest on it
		}
		if r.gotThrough() || r.Cause.Kind == evidence.Unknown {
			continue
		}
		with := *c.Carrier
		with.End = r.Cause
		c.Carrier = &with
		c.Detail += fmt.Sprintf("; of %s, sent to find out, %s", carrier, r.Cause)
		return c
	}
	return c
}

// carry sends one.
func (a *asking) carry(c evidence.Carrier) (Result, error) {
	w := a.watched.watch
	from, to := w.Node(c.Node), w.Node(c.Peer)
	p := Protocol(c.Protocol)
	if c.Protocol == unix.IPPROTO_UDP {
		p = UDP(c.Port)
	}
	if c.From.IsValid() {
		p = p.From(c.From)
	}
	if from == nil || to == nil || c.Protocol == unix.IPPROTO_UDP && c.Port == 0 {
		return Result{}, fmt.Errorf("%s: nobody has that end", c)
	}
	b, err := newAsking(a.ctx, from, to, c.Peer, c.To, p.Within(min(a.probe.bound(), DefaultWithin)))
	if err != nil {
		return Result{}, err
	}
	b.deep = a.deep + 1
	err = b.askUnder(w, nil)
	return b.result, err
}
