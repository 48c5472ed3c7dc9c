package probes

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
