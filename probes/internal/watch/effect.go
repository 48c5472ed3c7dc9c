package watch

import (
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
	"golang.org/x/sys/unix"
)

// expressionEffects are what expressions of nftables do, by their names, and extensions of
// iptables, by theirs after "target".
var expressionEffects = map[string]evidence.Effect{
	"nat": evidence.Translates, "masq": evidence.Translates, "redir": evidence.Translates,
	"counter": evidence.Counts, "log": evidence.Logs, "dup": evidence.Copies, "tproxy": evidence.Takes, "synproxy": evidence.Takes,
}

// targetEffects are those of extensions of iptables.
var targetEffects = map[string]evidence.Effect{
	"SNAT": evidence.Translates, "DNAT": evidence.Translates, "MASQUERADE": evidence.Translates, "REDIRECT": evidence.Translates,
	"NETMAP": evidence.Translates, "MARK": evidence.Marks, "CONNMARK": evidence.Marks, "LOG": evidence.Logs, "NFLOG": evidence.Logs,
	"TEE": evidence.Copies, "NFQUEUE": evidence.Takes, "TPROXY": evidence.Takes, "ACCEPT": evidence.Accepts,
	"TTL": evidence.Rewrites, "HL": evidence.Rewrites, "TOS": evidence.Rewrites, "DSCP": evidence.Rewrites, "TCPMSS": evidence.Rewrites,
}

// setters are expressions that read a field, or set it where they have a source register:
// the attribute of that, and of the key that tells which field
// (linux/netfilter/nf_tables.h).
var setters = map[string]struct {
	source, key uint16
	mark        uint32
}{
	"meta":    {unix.NFTA_META_SREG, unix.NFTA_META_KEY, unix.NFT_META_MARK},
	"ct":      {unix.NFTA_CT_SREG, unix.NFTA_CT_KEY, unix.NFT_CT_MARK},
	"payload": {source: unix.NFTA_PAYLOAD_SREG},
	"exthdr":  {source: 7}, // NFTA_EXTHDR_SREG
}

// effectOf is what an expression does, from its name and its data; false where that is to
// match.
func effectOf(name string, data []byte) (evidence.Effect, bool) {
	if target, ok := strings.CutPrefix(name, "target "); ok {
		effect, ok := targetEffects[target]
		return effect, ok
	}
	setter, sets := setters[name]
	if !sets {
		effect, ok := expressionEffects[name]
		return effect, ok
	}
	var key uint32
	has := false
	for kind, value := range attributes(data) {
		has = has || kind == setter.source
		if kind == setter.key && setter.key != 0 {
			key = number(value)
		}
	}
	switch {
	case !has:
		return "", false
	case setter.key == 0:
		return evidence.Rewrites, true
	}
	return evidence.Marks, key == setter.mark
}

// effectsOf are what a rule did that matched, or a policy: its expressions' effects, and its
// verdict. A translation says that it accepts.
func effectsOf(s rules.Step, own []evidence.Effect) []evidence.Effect {
	effects := slices.Clone(own)
	add := func(effect evidence.Effect) {
		said := slices.Contains(effects, effect) || effect == evidence.Accepts && slices.Contains(effects, evidence.Translates)
		if !said {
			effects = append(effects, effect)
		}
	}
	switch {
	case s.Handle == 0:
		add(evidence.Accepts)
	case s.Verdict == nil || s.Verdict.Kind == expr.VerdictReturn:
		add(evidence.Leads)
	case s.Verdict.Kind == expr.VerdictAccept:
		add(evidence.Accepts)
	case s.Verdict.Kind == expr.VerdictDrop:
		add(evidence.Drops)
	case s.Verdict.Kind >= 0:
		add(evidence.Takes)
	case len(effects) == 0:
		add(evidence.Matches)
	}
	return effects
}
