package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
)

// reread is a value as somebody else reads it.
func reread[T any](t *testing.T, v T) (read T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &read)
	}
	if err != nil {
		t.Fatal(err)
	}
	return read
}

const likeOurs = `table inet filter {
	chain nobody { accept; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established accept
		tcp dport 22 drop comment "a|b *c* ` + "`d`" + `"
		tcp dport 1-80 accept
		tcp dport 23 accept
		icmp type echo-request accept
		udp dport 53 reject
	}
}`

// A report says the same to who reads it; and two of one ruleset are alike, whoever wrote them.
func TestReportsAreData(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, likeOurs)
	read := reread(t, report)
	if read.String() != report.String() || read.Markdown() != report.Markdown() || read.ExitCode() != report.ExitCode() {
		t.Errorf("it was\n%s\nand is read as\n%s", report, read)
	}
	if d := policy.CompareReports(read, coveredOffice(t, likeOurs)); !d.Empty() || len(d.Notes) > 0 {
		t.Errorf("two kernels that are alike: %s", d)
	}
	other := policy.CompareReports(read, reread(t, coveredOffice(t, strings.Replace(likeOurs, "udp dport 53 reject", "udp dport 53 accept", 1))))
	if len(other.Changes) == 0 || !strings.Contains(other.String(), "now is let through: udp 10.0.1.1:") {
		t.Errorf("two kernels that are not: %s", other)
	}
	if d := policy.CompareReports(read, policy.Report{}); len(d.Notes) != len(read.Rules) || d.ExitCode() != 2 {
		t.Errorf("rules that are not there: %s", d)
	}
	var fate policy.Fate
	if err := fate.UnmarshalText([]byte("dead")); err == nil {
		t.Error("a fate that is none is read")
	}
}

// A difference says the same to who reads it.
func TestDifferencesAreData(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	for after, code := range map[string]int{
		likeOurs: 0,
		strings.Replace(likeOurs, "udp dport 53 reject", "udp dport 53 accept", 1):                                   1,
		strings.Replace(likeOurs, "ct state established accept", "ct state established accept\nct mark 1 accept", 1): 2,
	} {
		d := compared(t, lab, likeOurs, after)
		read := reread(t, d)
		if read.String() != d.String() || read.Markdown() != d.Markdown() || read.ExitCode() != code || d.ExitCode() != code {
			t.Errorf("it ends with %d and not %d; it was\n%s\nand is read as\n%s", d.ExitCode(), code, d, read)
		}
	}
}

// What a rule has in it does not break the table of a pull request.
func TestMarkdown(t *testing.T) {
	t.Parallel()
	text := coveredOffice(t, likeOurs).Markdown()
	head, rest, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(head, "### fw: 8 rules and policies: ") {
		t.Errorf("it begins with %s", head)
	}
	rows := 0
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		rows++
		const columns = 4
		if got := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") - 1; got != columns {
			t.Errorf("%d columns, and not %d: %s", got, columns, line)
		}
	}
	const heads = 2 // of two lines each, one for what is odd
	if odd := 2; rows != 2*heads+8+odd {
		t.Errorf("%d rows:\n%s", rows, text)
	}
	for _, part := range []string{
		"| inet filter nobody | 1: `accept` | unreferenced | no hook leads to the chain nobody |",
		"| 2: `` tcp dport 22 drop comment \"a\\|b *c* `d`\" `` | decided |",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is not in\n%s", part, text)
		}
	}
}
