package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// A program is run again where the rules are others, also where they have the numbers of those
// before, and where they are as they were it is not.
func TestListedIsOfTheRulesThatStand(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	declared := topo.New("listed")
	declared.Host("fw").Nft(`table ip f { chain one { counter drop; }; chain two { drop; }; chain in { type filter hook input priority 0; jump one; }; }`)
	fw := harness.Up(t, declared).Node("fw")
	const again = "table ip f\ndelete table ip f\ntable ip f { chain one { counter accept; }; chain two { drop; }; chain in { type filter hook input priority 0; jump one; }; }"

	ran := filepath.Join(t.TempDir(), "ran")
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho $@ >>"+ran+"\n"+nftPath()+" -s list ruleset\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ what, rules, says string }{
		{"first", "", "counter drop"},
		{"a table was made again", again, "counter accept"},
		{"rules were made again", "flush chain ip f one\nadd rule ip f one meta mark 7", "meta mark 0x00000007"},
		{"a rule was replaced", "replace rule ip f one handle %[1]d tcp dport 9 drop", "tcp dport 9 drop"},
		{"it was once more, by a set", "replace rule ip f one handle %[1]d tcp dport { 22, 23 } drop", "tcp dport { 22, 23 } drop"},
		{"it was twice, the second time by a set of the same name",
			"replace rule ip f one handle %[1]d tcp dport { 22, 25 } drop\nreplace rule ip f one handle %[1]d tcp dport { 22, 24 } drop", "tcp dport { 22, 24 } drop"},
		{"it has a comment", "replace rule ip f one handle %[1]d tcp dport { 22, 24 } drop comment \"no ssh\"", "no ssh"},
		{"a chain has another name", "rename chain ip f one other", "jump other"},
		{"another family has a table", "table ip6 f { chain in { type filter hook input priority 0; }; }", "table ip6 f"},
	} {
		if step.rules != "" {
			set, err := ReadRules(fw)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(step.rules, "%[1]d") {
				step.rules = fmt.Sprintf(step.rules, set.Chain("ip", "f", "one").Rules[0].Handle)
			}
			if err := fw.Nft(step.rules); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if text := listed(fw, program, "arguments"); !strings.Contains(text, step.says) {
				t.Errorf("%s: it lists %q, without %q", step.what, text, step.says)
			}
		}
		listed(fw, program, "other arguments")
		_ = listed(fw, "", "no program")
	}
	text, err := os.ReadFile(ran)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n != 18 {
		t.Errorf("the program ran %d times, not twice for each of 9 rulesets:\n%s", n, text)
	}
}

// What fails is tried again.
func TestListedKeepsNothingOfAFailure(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	declared := topo.New("failing")
	declared.Host("fw").Nft(`table ip f { chain in { type filter hook input priority 0; drop; }; }`)
	fw := harness.Up(t, declared).Node("fw")
	program := filepath.Join(t.TempDir(), "program")
	for _, step := range []struct{ script, says string }{{"echo half; exit 1", ""}, {"echo whole", "whole\n"}} {
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+step.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if text := listed(fw, program); text != step.says {
			t.Errorf("%q lists %q, not %q", step.script, text, step.says)
		}
	}
}
