package truth_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
)

const tallyEntry = "truth"

// tally is what was found in worlds.
type tally struct {
	mu           sync.Mutex
	Worlds       int
	Verdicts     map[string]int     // by kind
	Wrong        map[string]int     // by demand
	Inconclusive map[string]int     // by reason
	Late         map[string]int     // by demand: nothing follows, since this process was late
	Features     map[string]int     // worlds that have it
	Unsupported  map[string]int     // features of networks that this kernel cannot have
	Examples     map[string]string  // of the inconclusive
	Seconds      map[uint64]float64 // that a world took, by its seed
	Complaints   []string
}

// slowest is how many worlds are told of that took longest.
const slowest = 10

func newTally() *tally {
	return &tally{Verdicts: map[string]int{}, Wrong: map[string]int{}, Inconclusive: map[string]int{}, Late: map[string]int{}, Features: map[string]int{}, Unsupported: map[string]int{}, Examples: map[string]string{}, Seconds: map[uint64]float64{}}
}

func (t *tally) add(other *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Worlds += other.Worlds
	for _, m := range [][2]map[string]int{{t.Verdicts, other.Verdicts}, {t.Wrong, other.Wrong}, {t.Inconclusive, other.Inconclusive}, {t.Late, other.Late}, {t.Features, other.Features}, {t.Unsupported, other.Unsupported}} {
		for k, n := range m[1] {
			m[0][k] += n
		}
	}
	maps.Copy(t.Examples, other.Examples)
	maps.Copy(t.Seconds, other.Seconds)
	t.Complaints = append(t.Complaints, other.Complaints...)
}

// count counts the verdicts of a round.
func (t *tally) count(r *round) {
	if r.index == 0 {
		t.Worlds++
		for _, name := range r.w.features() {
			t.Features[name]++
		}
	}
	if r.unasked != nil {
		t.Verdicts["could not be asked"]++
		return
	}
	switch v := r.said.isolated; {
	case r.across:
		t.Verdicts["of another lab"]++
	case r.kind == every && v.holds:
		t.Verdicts["isolated, without a probe"]++
	case v.holds:
		t.Verdicts["isolated"]++
	case v.err == nil:
		t.Verdicts["not isolated: reached"]++
	case v.inconclusive() != "":
		t.open(r, v)
	case v.doubts():
		t.Verdicts["not isolated: a policy that goes by what any program may choose"]++
	default:
		t.Verdicts["not isolated: no policy"]++
	}
	switch v := r.said.reached; {
	case !v.asked:
	case v.holds:
		t.Verdicts["reached"]++
	case v.inconclusive() != "":
		t.open(r, v)
	default:
		t.Verdicts["not reached"]++
	}
	if r.said.refused.holds {
		t.Verdicts["refused"]++
	}
	if v := r.said.unanswered; v.holds {
		t.Verdicts["unanswered"]++
	} else if v.inconclusive() != "" {
		t.open(r, v)
	} else if v.asked {
		t.Verdicts["not unanswered"]++
	}
	for _, res := range r.said.watched {
		if f, ok := r.fact(res.Addr); ok && f.answered && leftOpen(res) {
			t.leaves(r, "a watched probe that could be answered: "+res.Cause.String())
		}
		if res.Cause != nil {
			t.Verdicts["cause "+string(res.Cause.Kind)]++
		} else {
			t.Verdicts["outcome "+res.Outcome.String()]++
		}
	}
}

// open counts a verdict that is none.
func (t *tally) open(r *round, v verdict) { t.leaves(r, v.inconclusive()) }

// leaves counts what is left open, for a reason.
func (t *tally) leaves(r *round, why string) {
	reason := shape(why)
	if r.said.late > tooLate {
		reason += " (this process had no turn in time)"
	}
	t.Verdicts["inconclusive"]++
	t.Inconclusive[reason]++
	t.Examples[reason] = fmt.Sprintf("%s=%d: %s (%s)", seedVar, r.w.seed, r.ask, strings.Join(r.w.features(), "; "))
}

// names and numbers of a reason differ from network to network.
var particular = regexp.MustCompile(`[0-9a-f]*:[0-9a-f:]+|[0-9]+(\.[0-9]+)*|\b(pc|site|fw|edge|other|ids|web|printer|relay|br|extra|n[0-9]|s[0-9])[a-z]*\b|"[^"]*"`)

func shape(reason string) string { return particular.ReplaceAllString(reason, "*") }

// complain notes what is wrong, with the network where it is small.
func (t *tally) complain(what string, w *world, why string, whole bool) {
	text := fmt.Sprintf("%s=%d: %s (%s)\n%s", seedVar, w.seed, what, strings.Join(w.features(), "; "), indent(why))
	if whole {
		text += "\n" + indent(w.String())
	}
	t.Complaints = append(t.Complaints, text)
	if what == "the network cannot be built" {
		t.Wrong[what]++
	}
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}

// sum is the tally in a line.
func (t *tally) sum() string {
	verdicts, open := t.verdicts(), t.Verdicts["inconclusive"]
	share := 100 * float64(open) / float64(max(1, verdicts))
	return fmt.Sprintf("%d networks, %d verdicts, %d wrong, %d inconclusive (%.2f %%)", t.Worlds, verdicts, sum(t.Wrong), open, share)
}

// String is what a run prints.
func (t *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "== truth: %s ==\n", t.sum())
	for _, part := range []struct {
		name string
		of   map[string]int
	}{{"verdicts", t.Verdicts}, {"wrong", t.Wrong}, {"inconclusive", t.Inconclusive}, {"of no account, since this process had no turn in time", t.Late}, {"not on this kernel, networks with", t.Unsupported}, {"networks with", t.Features}} {
		fmt.Fprintf(&b, "%s:\n", part.name)
		for _, k := range slices.SortedFunc(maps.Keys(part.of), func(x, y string) int { return part.of[y] - part.of[x] }) {
			fmt.Fprintf(&b, "  %6d  %s\n", part.of[k], k)
			if example, ok := t.Examples[k]; ok {
				fmt.Fprintf(&b, "          %s\n", example)
			}
		}
	}
	slow := slices.SortedFunc(maps.Keys(t.Seconds), func(x, y uint64) int { return cmp.Compare(t.Seconds[y], t.Seconds[x]) })
	b.WriteString("slowest:\n")
	for _, seed := range slow[:min(slowest, len(slow))] {
		fmt.Fprintf(&b, "  %6.1f  s, %s=%d\n", t.Seconds[seed], seedVar, seed)
	}
	return b.String()
}

// verdicts is how many the matchers gave.
func (t *tally) verdicts() (n int) {
	for k, v := range t.Verdicts {
		if !strings.HasPrefix(k, "cause ") && !strings.HasPrefix(k, "outcome ") {
			n += v
		}
	}
	return n
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

var _ = ReportAfterSuite("the truth about random networks", func(report Report) {
	total := newTally()
	for _, spec := range report.SpecReports {
		for _, e := range spec.ReportEntries {
			var t tally
			if e.Name != tallyEntry {
				continue
			}
			text := []byte(e.Value.AsJSON)
			if len(text) == 0 { // an entry of this process, which is not encoded
				text, _ = json.Marshal(e.Value.GetRawValue())
			}
			if json.Unmarshal(text, &t) == nil {
				total.add(&t)
			}
		}
	}
	if total.Worlds > 0 || len(total.Complaints) > 0 {
		total.print(os.Stdout)
	}
})

func (t *tally) print(out io.Writer) {
	fmt.Fprint(out, "\n", t)
}
