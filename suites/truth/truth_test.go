package truth_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	worlds = 0  // how many networks without a word; their seeds are 1 to that
	share  = 25 // of them in a spec, so that specs spread over processes
	atOnce = 10 // how many of a spec are up at once: most of the time they wait

	long = 1000 // a run of so many tells how far it is
)

// What the environment says: how many networks, after which seed, or one alone, by its
// seed, which is told in full.
const (
	countVar = "NSTEST_TRUTH_N"
	afterVar = "NSTEST_TRUTH_AFTER"
	seedVar  = "NSTEST_TRUTH_SEED"
)

var _ = Describe("of random networks the truth is told", func() {
	if text, ok := os.LookupEnv(seedVar); ok {
		It("of the seed in "+seedVar, func(ctx SpecContext) {
			seed, err := strconv.ParseUint(text, 10, 64)
			Expect(err).NotTo(HaveOccurred())
			judgeAll(ctx, seed)
		})
		return
	}
	n, after := number(countVar, worlds), number(afterVar, 0)
	for first := after + 1; first <= after+n; first += share {
		last := min(first+share-1, after+n)
		It(fmt.Sprintf("%d to %d", first, last), func(ctx SpecContext) {
			var seeds []uint64
			for seed := first; seed <= last; seed++ {
				seeds = append(seeds, seed)
			}
			judgeAll(ctx, seeds...)
		})
	}
})

// number is what a variable says; one that is none is as if it were not set.
func number(name string, otherwise uint64) uint64 {
	n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// judgeAll judges the worlds of all seeds, some at once, and fails with every
// complaint, shrunk.
func judgeAll(ctx context.Context, seeds ...uint64) {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool, harness.IptablesTool, harness.IPv6)
	total, started := newTally(), time.Now()
	defer func() {
		AddReportEntry(tallyEntry, total, ReportEntryVisibilityNever)
		if number(countVar, worlds) >= long {
			AddReportEntry("progress", progress(total, seeds, time.Since(started)))
		}
	}()
	var judging sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, seed := range seeds {
		room <- struct{}{}
		if ctx.Err() != nil {
			break // interrupted: what was found is told
		}
		judging.Go(func() {
			defer func() { <-room }()
			began := time.Now()
			found := newWorld(seed).judge(ctx)
			found.Seconds[seed] = time.Since(began).Seconds()
			total.add(found)
		})
	}
	judging.Wait()
	for _, text := range total.Complaints {
		GinkgoWriter.Println(text)
	}
	if len(total.Complaints) > 0 {
		Fail(fmt.Sprintf("%d complaints; the first:\n%s", len(total.Complaints), total.Complaints[0]))
	}
}

// judge examines a world and counts; of what is wrong it makes a complaint with the
// smallest network that still shows it.
func (w *world) judge(ctx context.Context) *tally {
	t := newTally()
	rounds, err := w.examine(ctx)
	if err != nil {
		if unsupported(err) {
			for _, name := range w.features() {
				t.Unsupported[name]++
			}
		} else if ctx.Err() == nil {
			t.complain("the network cannot be built", w, err.Error(), true)
		}
		return t
	}
	complained := map[string]bool{}
	asked := demands
	if alone() {
		GinkgoWriter.Printf("%s\n", w)
		asked = append(slices.Clone(demands), open)
	}
	for _, r := range rounds {
		t.count(r)
		if alone() {
			GinkgoWriter.Println(r.report())
		}
		for _, d := range asked {
			why := d.check(r)
			if why == "" {
				continue
			}
			if d.moot(r) {
				t.Late[d.name]++
				continue
			}
			t.Wrong[d.name]++
			if complained[d.name] || ctx.Err() != nil {
				continue
			}
			complained[d.name] = true
			if _, before := shrunk.LoadOrStore(d.name, true); before && !alone() {
				t.complain(d.name, w, r.String()+"\n"+why, false)
				continue
			}
			small, why := w.shrink(ctx, r, d, why)
			t.complain(d.name, small, why, true)
		}
	}
	return t
}

// shrunk are the demands that this process has made a small network for: it takes as
// long as a hundred networks. Who wants one of another repeats its seed.
var shrunk sync.Map

// open is no demand, since a verdict may be open: for one seed it shows of how little.
var open = demand{name: "inconclusive", check: func(r *round) string {
	for _, v := range []verdict{r.said.isolated, r.said.unanswered, r.said.reached} {
		if v.inconclusive() != "" {
			return v.err.Error()
		}
	}
	return ""
}}

// alone says whether one seed is asked for.
func alone() bool {
	_, ok := os.LookupEnv(seedVar)
	return ok
}

// unsupported says whether a network cannot be built because the kernel lacks a kind
// of rule: which features those had is told.
func unsupported(err error) bool {
	text := err.Error()
	if strings.Contains(text, "by what a program may choose at ") && strings.Contains(text, "invalid argument") {
		return true // a sandbox of one user has no user 1000
	}
	return strings.Contains(text, notHere) || strings.Contains(text, "Could not process rule: Operation not supported") || strings.Contains(text, "Could not process rule: No such file or directory") ||
		strings.Contains(text, "Couldn't load match") || strings.Contains(text, "is incompatible, use 'nft' tool") || strings.Contains(text, "Table does not exist (do you need to insmod?)")
}
