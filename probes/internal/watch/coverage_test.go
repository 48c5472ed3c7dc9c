package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/topo"
)

// ledgers of a file, for labs of that network whose only node is called fw.
func ledgersOf(t *testing.T, file, network string, n int) (all []*ledger) {
	t.Helper()
	declared := topo.New(network)
	declared.Host("fw")
	for range n {
		all = append(all, &ledger{node: harness.Up(t, declared).Node("fw"), file: file, uses: map[coverRule]use{}})
	}
	return all
}

func linesOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// Who writes at the same time writes beside the others, not into them.
func TestLedgersAreWrittenAtOnce(t *testing.T) {
	t.Parallel()
	const writers, rules = 8, 500
	file := filepath.Join(t.TempDir(), "rules.txt")
	all := ledgersOf(t, file, "written-at-once", writers)
	for i, l := range all {
		for n := range rules {
			l.rules = append(l.rules, coverRule{"inet", "filter", fmt.Sprint("chain-", i), n, strings.Repeat("x", n)})
		}
	}
	var writing sync.WaitGroup
	for _, l := range all {
		writing.Go(func() {
			if err := l.write(); err != nil {
				t.Error(err)
			}
		})
	}
	writing.Wait()
	lines := linesOf(t, file)
	if len(lines) != writers*rules {
		t.Fatalf("there are %d lines, not %d", len(lines), writers*rules)
	}
	for i, line := range lines {
		fields := strings.Split(line, "\t")
		if n := i % rules; len(fields) != 8 || fields[6] != fmt.Sprint(n) || fields[7] != strings.Repeat("x", n) {
			t.Fatalf("line %d is %q", i+1, line)
		}
	}
}

// A line is told once, and again when more is known of the rule. What white space
// a name has does not look like the next field, or line.
func TestLedgerTellsOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.txt")
	rule := coverRule{"inet", "a\ttable", "chain", 1, "tcp dport 22\ndrop"}
	for i, l := range ledgersOf(t, file, "told-once", 4) {
		l.rules = []coverRule{rule}
		l.note(rule, []use{never, never, decided, matched}[i])
		l.note(rule, never)
		l.complain("%v", errors.New("events were\nlost"))
		l.complain("%v", errors.New("events were\nlost"))
		if err := l.write(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"never\ttold-once\tfw\tinet\ta table\tchain\t1\ttcp dport 22 drop", "problem\ttold-once\tfw\tevents were lost",
		"decided\ttold-once\tfw\tinet\ta table\tchain\t1\ttcp dport 22 drop", "matched\ttold-once\tfw\tinet\ta table\tchain\t1\ttcp dport 22 drop",
	}
	if got := linesOf(t, file); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A trace with gaps says so in the file, and no test fails.
func TestCoverageSaysWhatIsLost(t *testing.T) {
	harness.Require(t, harness.NftTool)
	file := filepath.Join(t.TempDir(), "rules.txt")
	t.Setenv(coverageVar, file)
	t.Run("", func(t *testing.T) {
		declared := topo.New("lost")
		declared.Host("fw").Nft("table inet filter { chain input { type filter hook input priority 0; drop; }; }")
		lab := harness.Up(t, declared)
		_, end := Cover([]*harness.Lab{lab}, wire.Flow{Protocol: wire.TCP})
		(&uses{ledger: ledgerOf(lab.Node("fw"))}).lose("events of the rule trace were lost")
		end()
	})
	want := []string{
		"never\tlost\tfw\tinet\tfilter\tinput\t0\tpolicy accept", "never\tlost\tfw\tinet\tfilter\tinput\t1\tdrop",
		"problem\tlost\tfw\tevents of the rule trace were lost: what is said never to be tried may have been",
	}
	if got := linesOf(t, file); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
