package rules_test

import (
	"testing"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// Copies are not tracked, whatever iptables is called; nor is what its old form is told to pass over.
func TestEffects(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]rules.Effects{
		"-A PREROUTING -j CT --notrack":                    {Tracks: true, Untracks: true},
		"-A PREROUTING -j TEE --gateway 10.0.1.1":          {Untracks: true},
		"-A PREROUTING -j MARK --set-xmark 0x7/0xffffffff": {Marks: true},
		"-A PREROUTING -p tcp -j ACCEPT":                   {},
		"-A PREROUTING -j DSCP --set-dscp 0x2e":            {},
		"-A PREROUTING -j TOS --set-tos 0x10/0x3f":         {},
		"-A PREROUTING -j TTL --ttl-set 5":                 {Writes: true},
	} {
		tables, err := inspect.ParseLegacy("iptables-legacy", "*raw\n:PREROUTING ACCEPT [0:0]\n"+text+"\nCOMMIT\n")
		if err != nil {
			t.Fatal(err)
		}
		set := &inspect.Ruleset{Legacy: tables}
		if got := rules.EffectsOf(set); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// Of what is not known of an expression counts what it may do: who looks at a route to clamp a segment's size alters nothing that
// rules ask for.
func TestEffectsOfWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	all := rules.Effects{Marks: true, Writes: true, Translates: true, Tracks: true, Untracks: true}
	looks := rules.Effects{Tracks: true} // it may look at a connection
	for name, want := range map[string]rules.Effects{"rt": looks, "flow_offload": looks, "osf": looks, "last": {}, "meta": all, "payload": all, "ct": all, "novel": all} {
		chain := &inspect.Chain{Rules: []*inspect.Rule{{Exprs: []any{&inspect.Opaque{Name: name}}}}}
		set := &inspect.Ruleset{Tables: []*inspect.Table{{Chains: []*inspect.Chain{chain}}}}
		if got := rules.EffectsOf(set); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// Who writes to the traffic class alone writes to nothing that a rule is read by.
func TestEffectsOfWrites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base   expr.PayloadBase
		offset uint32
		size   uint32
		want   bool
	}{
		{expr.PayloadBaseNetworkHeader, 0, 2, false}, {expr.PayloadBaseNetworkHeader, 1, 1, false}, {expr.PayloadBaseNetworkHeader, 0, 4, true},
		{expr.PayloadBaseNetworkHeader, 8, 1, true}, {expr.PayloadBaseNetworkHeader, 16, 4, true}, {expr.PayloadBaseTransportHeader, 0, 2, true},
	} {
		write := &expr.Payload{OperationType: expr.PayloadWrite, Base: c.base, Offset: c.offset, Len: c.size, SourceRegister: 1}
		chain := &inspect.Chain{Rules: []*inspect.Rule{{Exprs: []any{write}}}}
		set := &inspect.Ruleset{Tables: []*inspect.Table{{Chains: []*inspect.Chain{chain}}}}
		if got := rules.EffectsOf(set).Writes; got != c.want {
			t.Errorf("%d bytes at %d of %v: %v", c.size, c.offset, c.base, got)
		}
	}
}
