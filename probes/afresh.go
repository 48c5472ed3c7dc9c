package probes

import "strings"

// afresh is the same probe before it was asked.
func (a *asking) afresh() asking {
	b := asking{
		ctx: a.ctx, from: a.from, addr: a.addr, scope: a.scope, probe: a.probe, source: a.source, labs: a.labs, owners: a.owners,
		pace: a.pace, frame: a.frame,
	}
	r := &a.result
	b.result = Result{From: r.From, To: r.To, Addr: r.Addr, Probe: r.Probe, from: r.from, target: r.target}
	return b
}

// askWider asks once more where a probe's datagrams were led to ports that were not heard: its
// answer may have begun, or gone, where nobody listened.
func (a *asking) askWider() error {
	switch r := &a.result; {
	case r.Outcome == Answered && !r.signed:
	case r.Outcome == Silent && isOpen(*r.Cause):
	default:
		return nil
	}
	wider, err := a.watched.watch.Widen(a.watched.trail, a.result.Outcome == Answered)
	if !wider || err != nil {
		return err
	}
	b := a.afresh()
	err = b.askOnceUnder(a.watched.watch, nil)
	b.result.detail = strings.TrimPrefix(b.result.detail+", asked once more, since its ports were translated", ", ")
	a.result, a.watched = b.result, b.watched
	return err
}
