package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/probes/policy"
)

// A kernel that lets a packet through which the one before dropped is told, with the packet; one
// that does the same is told to, so that nobody takes silence for it.
func TestPoliciesOfTwoKernelsAreCompared(t *testing.T) {
	m := matrix{kernels: []string{"5.10", "6.1", "6.12"}, reports: t.TempDir()}
	covered := func(passed bool) policy.Report {
		packet := policy.Packet{In: "lan", Source: netip.MustParseAddrPort("10.0.1.1:40000"), Destination: netip.MustParseAddrPort("10.0.2.1:22"), Protocol: 6}
		return policy.Report{Node: "fw", Rules: []policy.Rule{{
			Family: "inet", Table: "filter", Chain: "forward", Position: 1, Text: "tcp dport 22 drop",
			Fate: policy.Decided, Witness: []policy.Packet{packet}, With: &policy.Verdict{Passed: passed},
		}}}
	}
	for kernel, passed := range map[string]bool{"5.10": false, "6.1": false, "6.12": true} {
		leave(t, filepath.Join(m.reports, kernel, "wall", policiesDir), "ssh", covered(passed))
	}
	leave(t, filepath.Join(m.reports, "6.12", "wall", policiesDir), "web", covered(true)) // on one alone
	lines, err := m.policies([]string{"wall", "moat"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"wall on 5.10 and 6.1: ssh, 1 and 1 rules and policies: no packet was found that is treated differently",
		"wall on 6.1 and 6.12: ssh, 1 and 1 rules and policies: 1 kind of packet is treated differently:\n  at fw now is let through: tcp 10.0.1.1:40000 > 10.0.2.1:22",
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	for i, begin := range want {
		if !strings.HasPrefix(lines[i], begin) {
			t.Errorf("got\n%s\nwant\n%s", lines[i], begin)
		}
	}
	if err := os.WriteFile(filepath.Join(m.reports, "6.1", "wall", policiesDir, "ssh.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := m.policies([]string{"wall"}); err == nil || !strings.Contains(err.Error(), "wall on 6.1: report of ssh: ") {
		t.Error("half a report:", err)
	}
}

func leave(t *testing.T, dir, name string, r policy.Report) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}
