package policy_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
)

// compared is what the change from one ruleset to another does at fw.
func compared(t *testing.T, lab *harness.Lab, before, after string) policy.Difference {
	t.Helper()
	d, err := policy.CompareRules(t.Context(), lab, "fw", before, after)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const fromLan = `table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		iifname "lan" tcp dport 80 accept
		iifname "lan" tcp dport 22 reject with tcp reset
	}
}`

// A change is one for each pair of rules and family; each verdict is the kernel's.
func TestCompareRules(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	for _, c := range []struct {
		from, to string
		words    []string // one for each change, in order
	}{
		{"dport 80", "dport 81", []string{"now is stopped", "now is let through", "now is stopped", "now is let through"}},
		{"reject with tcp reset", "drop", []string{"is stopped another way", "is stopped another way"}},
		{"reject with tcp reset", "reject with icmpx admin-prohibited", []string{"is stopped another way", "is stopped another way"}},
		{`iifname "lan" tcp dport 80 accept`, `iifname "lan" ip daddr 10.0.2.1 tcp dport 80 accept`, []string{"now is stopped", "now is stopped"}},
		{"policy drop", "policy drop; comment \"x\"", nil},
	} {
		d := compared(t, lab, fromLan, strings.Replace(fromLan, c.from, c.to, 1))
		if len(d.Changes) != len(c.words) {
			t.Errorf("%s for %s: %d changes and not %d:\n%s", c.to, c.from, len(d.Changes), len(c.words), d)
			continue
		}
		words := strings.Join(c.words, "\n")
		for _, change := range d.Changes {
			word, _, _ := strings.Cut(strings.TrimPrefix(change.String(), "at fw "), ":")
			if !strings.Contains(words, word) {
				t.Errorf("%s for %s: %s", c.to, c.from, change)
			}
		}
		if len(d.Notes) > 0 || d.Empty() != (len(c.words) == 0) {
			t.Errorf("%s for %s: %s", c.to, c.from, d)
		}
	}
}

// What the policy of a chain of NAT drops is told to be dropped by it.
func TestCompareByPolicyOfNAT(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	before := fromLan + "\ntable inet n {\nchain in {\ntype nat hook input priority 0; policy accept;\n}\n}\n" + strings.ReplaceAll(strings.Replace(fromLan, "inet filter", "inet own", 1), "forward", "input")
	d := compared(t, lab, before, strings.Replace(before, "priority 0; policy accept", "priority 0; policy drop", 1))
	if len(d.Changes) == 0 {
		t.Error("it tells nothing")
	}
	for _, c := range d.Changes {
		if c.After.By != "policy drop of inet n in" {
			t.Errorf("dropped by another: %s", c)
		}
	}
}

// odd has a rule that is not modelled before all others.
var odd = strings.Replace(fromLan, "\t\tct state", "\t\tnumgen inc mod 1000000 999999 accept\n\t\tct state", 1)

// What is not modelled is noted, once, and is no change.
func TestCompareNotes(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	other := strings.Replace(odd, "policy drop;", "policy drop; ip saddr 10.9.9.9 counter;", 1)
	for _, after := range []string{strings.Replace(odd, `"lan" tcp dport 22`, `"lan" counter tcp dport 22`, 1), other} {
		d := compared(t, lab, odd, after)
		said := slices.DeleteFunc(slices.Clone(d.Notes), func(note string) bool { return !strings.Contains(note, "(numgen inc mod 1000000 999999 accept)") })
		if !d.Empty() || len(said) != 1 || strings.Contains(said[0], "before") || d.Packets == 0 {
			t.Errorf("it says %s", d)
		}
		if moved := strings.Contains(said[0], "which after is rule 2 of"); moved != (after == other) {
			t.Errorf("it says %s", d)
		}
	}
}

// Rules that are the same do the same, whatever they are, and all is compared.
func TestCompareTheSame(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(odd))
	if d := compared(t, lab, odd, odd); !d.Empty() || len(d.Notes) > 0 || d.ExitCode() != 0 {
		t.Errorf("it says %s", d)
	}
	other := harness.Up(t, office(odd))
	if same, err := policy.BehaveLike(lab).Match(other); err != nil || !same {
		t.Errorf("equal labs: %v %v", same, err)
	}
	for what, do := range map[string]func(fw *harness.Node) error{
		"a sysctl":   func(fw *harness.Node) error { return fw.SetSysctl("net.ipv4.conf.lan.rp_filter", "1") },
		"an address": func(fw *harness.Node) error { return fw.AddAddr("lan", netip.MustParsePrefix("10.0.1.77/24")) },
		"a link":     func(fw *harness.Node) error { return fw.Port("dmz").Down() },
		"an element": func(fw *harness.Node) error {
			return fw.Nft("table inet other { set s { type ipv4_addr; elements = { 10.0.0.1 }; }; }")
		},
	} {
		other := harness.Up(t, office(odd))
		if err := do(other.Node("fw")); err != nil {
			t.Fatal(what, err)
		}
		if d, err := policy.Compare(t.Context(), lab, other); err != nil || d.Packets == 0 || len(d.Notes) == 0 {
			t.Errorf("%s makes no difference: %v %s", what, err, d)
		}
	}
}

// What rules of iptables-legacy do is not compared, and is never held to be the same where they are not.
func TestCompareLegacy(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.Tool("iptables-legacy"))
	var labs []*harness.Lab
	for _, port := range []string{"22", "22", "23"} {
		lab := harness.Up(t, office(""))
		if err := lab.Node("fw").Iptables("*filter\n-A FORWARD -p tcp --dport "+port+" -j DROP\nCOMMIT\n", topo.Legacy); err != nil {
			t.Fatal(err)
		}
		labs = append(labs, lab)
	}
	for i, want := range []int{0, 2} {
		if d, err := policy.Compare(t.Context(), labs[0], labs[1+i]); err != nil || d.ExitCode() != want {
			t.Errorf("lab %d: %v %s", i, err, d)
		}
	}
}

func TestCompareSaysWhatItCannot(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	for _, c := range []struct{ before, after, says string }{
		{"tabel", "", "compare rules: node fw: rules before: "},
		{"", "tabel", "compare rules: node fw: rules after: "},
	} {
		if _, err := policy.CompareRules(t.Context(), lab, "fw", c.before, c.after); err == nil || !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("the error is %v, and not %s", err, c.says)
		}
	}
	for _, err := range []error{
		onlyError(policy.Cover(t.Context(), nil, "fw")), onlyError(policy.CompareRules(t.Context(), nil, "fw", "", "")),
		onlyError(policy.Compare(t.Context(), nil, lab)), onlyError(policy.Compare(t.Context(), lab, nil)),
	} {
		if err == nil || !strings.Contains(err.Error(), "the lab is nil") {
			t.Errorf("a nil lab: %v", err)
		}
	}
	if _, err := policy.CompareRules(t.Context(), lab, "wf", "", ""); err == nil || !strings.Contains(err.Error(), "no such node") {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := policy.CompareRules(ctx, lab, "fw", fromLan, fromLan); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of a context that is over is %v", err)
	}
	if _, err := policy.BehaveLike(lab).Match("a string"); err == nil {
		t.Error("a string behaves like a lab")
	}
}

func onlyError[T any](_ T, err error) error { return err }
