package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/probes/policy"
	. "github.com/onsi/gomega"
)

// measured is a policy as Of measures it.
func measured() policy.Policy {
	ssh := policy.Packet{
		In: "lan", Protocol: 6, Flags: 2, TTL: 64,
		Source: netip.MustParseAddrPort("10.0.1.1:40000"), Destination: netip.MustParseAddrPort("10.0.2.1:22"),
	}
	part := func(text string) []policy.Part { return []policy.Part{{Text: text, Witness: []policy.Packet{ssh}}} }
	rest := policy.Class{Ending: policy.Dropped, Text: "dropped by policy drop of inet filter forward", Rest: true, Parts: part("all else")}
	return policy.Policy{Node: "fw", Flows: []policy.Flow{
		{From: "lan", To: "dmz", Classes: []policy.Class{
			{Ending: policy.Accepted, Text: `accepted by "web"`, Parts: append(part("tcp 443"), part("tcp 80 to 10.0.2.0/25")...)},
			{Ending: policy.Dropped, Text: `dropped by "no ssh"`, Parts: part("tcp 22")},
			rest,
		}},
		{From: "dmz", To: "lan", Classes: []policy.Class{rest}},
	}}
}

const measuredText = `lan -> dmz:
  tcp 22: dropped by "no ssh"
  tcp 80 to 10.0.2.0/25: accepted by "web"
  tcp 443: accepted by "web"
  all else: dropped by policy drop of inet filter forward
dmz -> lan:
  all else: dropped by policy drop of inet filter forward
`

func TestMatchPolicy(t *testing.T) {
	t.Parallel()
	if got := measured().String(); got != measuredText {
		t.Fatalf("it is\n%s", got)
	}
	for name, text := range map[string]string{
		"as it is":           measuredText,
		"in another order":   "dmz -> lan:\n\tall else: ...\n# a comment\n\nlan -> dmz:\n\ttcp 443: accepted by ...\n\tall else: ...\n\ttcp 22: ... by \"no ssh\"\n\ttcp 80 ...: accepted by \"web\"\n",
		"some lines alone":   "lan -> dmz:\n tcp 22: dropped by ...\n ...\n... -> ...:\n ...",
		"several at once":    "lan -> dmz:\n...\ndmz -> lan, ...:\n ...",
		"what is left":       "lan -> ...:\n tcp ...\n tcp ...\n tcp 22: ...\n all else: ...\n... -> lan:\n ...",
		"of an overlap":      "lan -> dmz:\n tcp ...\n ...: accepted by \"web\"\n tcp 443: ...\n all else: ...\ndmz -> lan:\n ...",
		"with other spacing": strings.ReplaceAll(measuredText, ": ", ":   "),
	} {
		if ok, err := policy.MatchPolicy(text).Match(measured()); !ok || err != nil {
			t.Errorf("%s: it does not match: %v", name, err)
		}
	}
	p := measured()
	if ok, err := policy.MatchPolicy(measuredText).Match(&p); !ok || err != nil {
		t.Errorf("by a pointer: it does not match: %v", err)
	}
}

// What differs is told line by line, with a packet.
func TestMatchPolicyThatDoesNot(t *testing.T) {
	t.Parallel()
	m := policy.MatchPolicy(strings.Replace(measuredText, "dropped by \"no ssh\"", "accepted by \"admins\"", 1))
	if ok, err := m.Match(measured()); ok || err != nil {
		t.Fatalf("it matches: %v", err)
	}
	_, differing, _ := strings.Cut(m.FailureMessage(nil), "\ndiffering\n")
	if want := `  lan -> dmz:
    expected: tcp 22: accepted by "admins"
    observed: tcp 22: dropped by "no ssh"
      so was: tcp 10.0.1.1:40000 > 10.0.2.1:22 SYN, in by lan
If it is meant to, the lines that are observed belong into the test; else look at the rules that they name.`; differing != want {
		t.Errorf("it says\n%s\n%s", m.FailureMessage(nil), want)
	}
	unknown := measured()
	unknown.Flows[0].Classes[1] = policy.Class{
		Ending: policy.Unknown, Text: "not known: by the rules dropped by x, by the kernel accepted by y", Why: "tcp a > b was accepted by y", Parts: []policy.Part{{Text: "tcp 22"}},
	}
	if ok, err := m.Match(unknown); ok || err != nil {
		t.Errorf("what is not known matches: %v", err)
	}
	if text := m.FailureMessage(nil); !strings.Contains(text, "    observed: tcp 22: not known: by the rules dropped by x, by the kernel accepted by y\n      since: tcp a > b was accepted by y\n") {
		t.Errorf("of what is not known it says\n%s", text)
	}
	p := measured()
	p.Notes = []string{"rules of family bridge"}
	for name, c := range map[string]struct {
		text string
		of   policy.Policy
	}{
		"a line that is missing":  {strings.Replace(measuredText, "  tcp 22: dropped by \"no ssh\"\n", "", 1), measured()},
		"a line too much":         {strings.Replace(measuredText, "dmz -> lan:", "  udp 53: ...\ndmz -> lan:", 1), measured()},
		"a line twice":            {strings.Replace(measuredText, "dmz -> lan:", "  tcp 22: ...\ndmz -> lan:", 1), measured()},
		"what begins otherwise":   {strings.Replace(measuredText, "tcp 22: dropped", "tcp 2...: accepted", 1), measured()},
		"what is not told":        {measuredText, p},
		"what is told after all":  {measuredText + "not told: rules of family bridge", measured()},
		"what nobody asked about": {"lan -> dmz:\n...\ntcp 25: dropped by ...\n... -> ...:\n...", measured()},
	} {
		if ok, err := policy.MatchPolicy(c.text).Match(c.of); ok || err != nil {
			t.Errorf("%s: it matches: %v, %v", name, ok, err)
		}
	}
	if ok, err := policy.MatchPolicy(measuredText + "not told: ...").Match(p); !ok || err != nil {
		t.Errorf("with what is not told: %v", err)
	}
}

// A text that compares nothing, or something else, is an error, and so neither To nor NotTo holds.
func TestMatchPolicyOfATextThatIsNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                 `no flows: write a line like "lan -> dmz:", then its lines as Policy.String prints them`,
		"tcp 22: dropped":  `line 1: "tcp 22: dropped" is before any flow: begin with a line like "lan -> dmz:"`,
		"lan -> dmz:\n...": "flow dmz -> lan is missing from the text: add it, with \"...\" for what is not to be compared. It is\n    all else: dropped by policy drop of inet filter forward",
		"... -> dmz:\n...\ndmz -> lan, wlan:\n...":  "the policy of fw has no flow dmz -> wlan; it has: lan -> dmz, dmz -> lan",
		measuredText + "... -> ...:\n all: dropped": "the policy of fw has no flow ... -> ...; it has: lan -> dmz, dmz -> lan",
		"lan -> dmz:\nlan -> dmz:":                  "line 2: lan -> dmz stands there twice",
	} {
		ok, err := policy.MatchPolicy(text).Match(measured())
		if ok || err == nil || !strings.HasPrefix(err.Error(), "MatchPolicy: "+want) {
			t.Errorf("%q: %v: %v", text, ok, err)
		}
	}
	m := policy.MatchPolicy(measuredText)
	for range 2 { // also when it has had a policy before
		NewWithT(t).Expect(m.Match("a text")).Error().To(MatchError("MatchPolicy wants a policy.Policy; it got a string"))
		NewWithT(t).Expect(m.Match(measured())).To(BeTrue())
	}
}
