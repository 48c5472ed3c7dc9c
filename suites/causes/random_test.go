package causes_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	worlds = 500 // the seeds are 1 to that, the same in every run
	share  = 50  // of them in a spec, so that specs spread over processes
	atOnce = 6   // how many of a spec are up at once

	mostTurned = 2  // how many results of a world are turned
	mostLifted = 32 // policies that may lie one behind another
)

// seedVar is a seed, to repeat one world alone, or to see one that no run has.
const seedVar = "NSTEST_RANDOM_SEED"

var _ = Describe("in a random network", func() {
	if text, ok := os.LookupEnv(seedVar); ok {
		It("of the seed in "+seedVar, func(ctx SpecContext) {
			seed, err := strconv.ParseUint(text, 10, 64)
			Expect(err).NotTo(HaveOccurred())
			GinkgoWriter.Println(newWorld(seed))
			explore(ctx, seed)
		})
		return
	}
	for first := uint64(1); first <= worlds; first += share {
		It(fmt.Sprintf("watching changes nothing, and each cause, lifted, turns the outcome: %d to %d", first, first+share-1), func(ctx SpecContext) {
			var seeds []uint64
			for i := range uint64(share) {
				seeds = append(seeds, first+i)
			}
			explore(ctx, seeds...)
		})
	}
})

// explore asks in the worlds of all seeds, some at once.
func explore(ctx context.Context, seeds ...uint64) {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
	errs := make([]error, len(seeds))
	turned := make([]int, len(seeds))
	var exploring sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for i, seed := range seeds {
		room <- struct{}{}
		exploring.Go(func() {
			defer func() { <-room }()
			w := newWorld(seed)
			if turned[i], errs[i] = w.explore(ctx); errs[i] != nil {
				errs[i] = fmt.Errorf("%s=%d:\n%w\n%s", seedVar, seed, errs[i], w)
			}
		})
	}
	exploring.Wait()
	if err := errors.Join(errs...); err != nil {
		Fail(err.Error())
	}
	all := 0
	for _, n := range turned {
		all += n
	}
	if len(seeds) > 1 {
		Expect(all).To(BeNumerically(">", len(seeds)/2), "policies lifted")
	}
}

// explore asks in two labs of the world, alike and fresh, so that nothing is left of
// one way when the other begins: connections, neighbours. It says how many policies
// it lifted.
func (w *world) explore(ctx context.Context) (lifted int, err error) {
	s := &scope{name: fmt.Sprintf("random/%d", w.seed)}
	defer s.end(&err)
	var bare, watched []probes.Result
	var lab *harness.Lab
	ways := []func() error{
		func() (err error) { bare, err = w.ask(ctx, w.up(s), false); return err },
		func() (err error) { lab = w.up(s); watched, err = w.ask(ctx, lab, true); return err },
	}
	if w.seed%2 == 0 {
		slices.Reverse(ways)
	}
	for _, way := range ways {
		if err := way(); err != nil {
			return 0, err
		}
	}
	if err := w.agree(bare, watched); err != nil {
		return 0, err
	}
	return w.turn(ctx, lab, watched)
}

// up builds a lab of the world.
func (w *world) up(s *scope) *harness.Lab {
	lab := harness.Up(s, w.network)
	if os.Getenv("NSTEST_RULE_COVERAGE") != "" { // a twin's rules are not counted: which random ones were tried says nothing
		twin, err := lab.Twin()
		if err != nil {
			s.Fatalf("%v", err)
		}
		s.Cleanup(twin.Down)
		lab = twin
	}
	for name, served := range w.served {
		probes.Serve(s, lab.Node(name), served...)
	}
	for _, d := range w.deeds {
		if err := d.do(lab); err != nil {
			s.Fatalf("%s: %v", d.text, err)
		}
	}
	return lab
}

// ask has every node with addresses ask every other: as a survey, and where there
// are only two, one by one.
func (w *world) ask(ctx context.Context, lab *harness.Lab, watch bool) (results []probes.Result, err error) {
	if len(w.ends) == 2 {
		return w.askEach(ctx, lab, watch)
	}
	grid := probes.Grid{Probes: w.asked, Watch: watch}
	for _, name := range w.ends {
		grid.From, grid.To = append(grid.From, lab.Node(name)), append(grid.To, lab.Node(name))
	}
	matrix, err := grid.Survey(ctx)
	if err != nil {
		return nil, err
	}
	for _, from := range w.ends {
		for _, to := range w.ends {
			results = append(results, matrix.Results(from, to)...)
		}
	}
	return results, nil
}

// askEach asks all at once, each by itself: the kernel gives up on a neighbour after
// three seconds, which no probe is to see.
func (w *world) askEach(ctx context.Context, lab *harness.Lab, watch bool) (results []probes.Result, err error) {
	asked := make([]probes.Result, 2*len(w.asked))
	errs := make([]error, len(asked))
	var asking sync.WaitGroup
	for i := range asked {
		from, to := lab.Node(w.ends[i%2]), lab.Node(w.ends[1-i%2])
		asking.Go(func() { asked[i], errs[i] = askOne(ctx, from, to, w.asked[i/2], watch) })
	}
	asking.Wait()
	for _, r := range asked {
		results = append(results, eachOf(r)...)
	}
	return results, errors.Join(errs...)
}

func askOne(ctx context.Context, from, to *harness.Node, p probes.Probe, watch bool) (probes.Result, error) {
	if watch {
		return probes.Watch(ctx, from, to, p)
	}
	return probes.Ask(ctx, from, to, p)
}

func eachOf(r probes.Result) []probes.Result {
	if len(r.Each) > 0 {
		return r.Each
	}
	return []probes.Result{r}
}

// turn lifts what stopped some of the probes, one policy after another: each must be
// another, until the probe arrives or what stops it is no policy. What is not
// understood may not come of it.
func (w *world) turn(ctx context.Context, lab *harness.Lab, results []probes.Result) (lifted int, err error) {
	results = slices.DeleteFunc(slices.Clone(results), func(r probes.Result) bool { return r.Cause == nil || !r.Cause.Policy })
	w.r.Shuffle(len(results), func(i, j int) { results[i], results[j] = results[j], results[i] })
	for _, r := range results[:min(mostTurned, len(results))] {
		n, err := w.turnOne(ctx, lab, r)
		lifted += n
		if err != nil {
			return lifted, err
		}
	}
	return lifted, nil
}

// notHeard is said of an answer that came from an address that was not asked.
const notHeard = "it came back to the asker, who did not hear it"

// handshake is said of a connection that came to nothing.
const handshake = "the connection was made"

func (w *world) turnOne(ctx context.Context, lab *harness.Lab, r probes.Result) (lifted int, err error) {
	var before []string
	for {
		now, err := askAgain(ctx, lab, r)
		switch {
		case err != nil:
			return lifted, err
		case now.Cause != nil && now.Cause.Kind == evidence.Unknown && w.translates && strings.HasPrefix(now.Cause.Detail, notHeard):
			return lifted, nil // the answer came another way, where nothing translates it back
		case now.Cause != nil && now.Cause.Kind == evidence.Unknown && strings.Contains(now.String(), handshake):
			return lifted, nil // what opens a connection came through, and the rest of it is not followed
		case now.Cause != nil && now.Cause.Kind == evidence.Unknown:
			return lifted, fmt.Errorf("what was understood is not, without\n  %s\n  %s\n  %s\n%s", strings.Join(before, "\n  "), now, causeOf(now), now.Timeline)
		case now.Cause == nil || !now.Cause.Policy:
			return lifted, nil
		}
		id := identity(*now.Cause)
		if slices.Contains(before, id) || len(before) == mostLifted {
			return lifted, fmt.Errorf("lifted, it does not turn:\n  %s\n  %s\n  %s\n%s", strings.Join(before, "\n  "), now, id, now.Timeline)
		}
		before = append(before, id)
		err = probes.Lift(lab.Node(now.Cause.Node), *now.Cause)
		if err != nil && now.Cause.Kind == evidence.NoRoute && !leads(lab, now) {
			return lifted, nil // only hosts are between
		}
		if err != nil {
			return lifted, fmt.Errorf("%s: %w", id, err)
		}
		lifted++
		if err := forgetNeighbours(lab); err != nil {
			return lifted, err
		}
	}
}

// askAgain asks what the result was of.
func askAgain(ctx context.Context, lab *harness.Lab, r probes.Result) (probes.Result, error) {
	again, err := probes.Watch(ctx, lab.Node(r.From), lab.Node(r.To), r.Probe)
	if err != nil {
		return again, err
	}
	for _, each := range eachOf(again) {
		if each.Addr == r.Addr {
			return each, nil
		}
	}
	return again, fmt.Errorf("%s was not asked again", r.Addr)
}

// leads says whether a way leads over routers from where a route was missing.
func leads(lab *harness.Lab, r probes.Result) bool {
	to := []netip.Addr{r.Addr}
	if r.Cause.Leg == evidence.Answer {
		to = lab.Node(r.From).Addrs()
	}
	return slices.ContainsFunc(to, func(addr netip.Addr) bool {
		_, ok := lab.Plan().Way(r.Cause.Node, addr)
		return ok && addr.Is6() == r.Addr.Is6()
	})
}

// identity is a cause, which no other has.
func identity(c evidence.Cause) string {
	id := fmt.Sprintf("leg %v: %s", c.Leg, c)
	if c.Rule != nil {
		id += fmt.Sprintf(" [handle %d]", c.Rule.Handle)
	}
	return id
}

// forgetNeighbours has all nodes ask for their neighbours once more. What stopped a
// probe may have stopped their questions and answers, and who has asked in vain gives
// up on what waits for it, whoever would answer by now.
func forgetNeighbours(lab *harness.Lab) error {
	var errs []error
	for _, node := range lab.Nodes() {
		links, err := node.Netlink().LinkList()
		errs = append(errs, err)
		for _, link := range links {
			neighbours, err := node.Netlink().NeighList(link.Attrs().Index, 0)
			errs = append(errs, err)
			for _, n := range neighbours {
				if addr, ok := netip.AddrFromSlice(n.IP); ok && !addr.IsMulticast() {
					_ = node.Netlink().NeighDel(&n) // it may be gone
				}
			}
		}
	}
	return errors.Join(errs...)
}
