package causes_test

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var (
	icmp = probes.ICMP()
	web  = probes.TCP(80)
	dns  = probes.UDP(53)
	all  = []probes.Probe{icmp, web, dns}
)

// silence is how long a probe waits whose end nothing accounts for.
const silence = 200 * time.Millisecond

// soon is when a watch has long seen what ends a probe, however busy the machine: a kernel that
// clears up other tests' namespaces may hold its rtnl lock for half a minute.
const soon = 90 * time.Second

// The addresses of the office, and the prefixes of both segments.
var (
	client4, client6 = netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("fd00:1::1")
	server4, server6 = netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("fd00:2::1")
	gateways         = []netip.Addr{netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("fd00:1::2")} // the client's

	lan4, lan6 = netip.MustParsePrefix("10.0.1.0/24"), netip.MustParsePrefix("fd00:1::/64")
	dmz4, dmz6 = netip.MustParsePrefix("10.0.2.0/24"), netip.MustParsePrefix("fd00:2::/64")
)

// office is client --lan-- fw --dmz-- server. The client has the first address of
// the lan and the server that of the dmz; fw has the second of both.
type office struct{ client, fw, server *harness.Node }

// up builds the office and serves all probes at the server.
func up() office {
	GinkgoHelper()
	network := topo.New("office")
	lan := network.Wire("lan", lan4.String(), lan6.String())
	dmz := network.Wire("dmz", dmz4.String(), dmz6.String())
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz)
	lab := harness.Up(GinkgoTB(), network)
	o := office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}
	probes.Serve(GinkgoTB(), o.server, web, dns)
	return o
}

// warm is the office when its neighbours know each other: what spoils a packet may
// spoil the questions that come before it as well.
func warm(ctx SpecContext) office {
	GinkgoHelper()
	o := up()
	o.reaches(ctx, all...)
	return o
}

// reaches is the control: the client reaches the server with every probe.
func (o office) reaches(ctx SpecContext, asked ...probes.Probe) {
	GinkgoHelper()
	Expect(o.client).To(probes.Reach(o.server, patient(asked...)...).WithContext(ctx))
}

// patient are probes with the time that a responder wants on a busy machine.
func patient(asked ...probes.Probe) (all []probes.Probe) {
	for _, p := range asked {
		all = append(all, p.Within(soon))
	}
	return all
}

// isolated says that every probe of a node's, or every answer to one, is stopped at
// another by a policy of that kind: a rule, unless by is "".
func isolated(ctx SpecContext, from *harness.Node, to probes.Target, at string, kind evidence.Kind, by string, asked ...probes.Probe) []probes.Result {
	GinkgoHelper()
	results := seen(ctx, from, to, asked...)
	for _, r := range results {
		no, other := halves(r)
		matcher := no(to).At(at).Because(kind)
		if by != "" {
			matcher.By(by)
		}
		Expect(r).To(no(to).At(at))
		Expect(r).To(matcher)
		if r.Cause.Leg == evidence.Answer {
			Expect(r).NotTo(other(to), "what is sent arrives")
		} else {
			noVerdict(other(to), r, "the request did not arrive")
		}
	}
	return results
}

// broken says that every probe is stopped at a node by what is no policy: it holds
// for who expects that kind, and for nobody else.
func broken(ctx SpecContext, from *harness.Node, to probes.Target, at string, kind evidence.Kind, asked ...probes.Probe) []probes.Result {
	GinkgoHelper()
	results := seen(ctx, from, to, asked...)
	for _, r := range results {
		no, _ := halves(r)
		Expect(r).To(no(to).At(at).Because(kind))
		noVerdict(no(to), r, "no policy isolates here, it looks like a mistake in the test", fmt.Sprintf("expect it with Because(%q)", kind))
	}
	return results
}

// waits is broken of what may be over by itself: a probe waits for it until its time
// is over.
func waits(ctx SpecContext, from *harness.Node, to probes.Target, at string, kind evidence.Kind, asked ...probes.Probe) (results []probes.Result) {
	GinkgoHelper()
	for _, p := range asked {
		results = append(results, watch(ctx, from, to, p.Within(silence))...)
	}
	for _, r := range results {
		no, _ := halves(r)
		Expect(r).To(no(to).At(at).Because(kind))
		Expect(r.RTT).To(BeNumerically(">=", silence))
		noVerdict(no(to), r, "no policy isolates here, it looks like a mistake in the test", fmt.Sprintf("expect it with Because(%q)", kind))
	}
	return results
}

// halves are the matcher for the half of a probe that was stopped, and the one for
// the other half.
func halves(r probes.Result) (its, other func(probes.Target, ...probes.Probe) *probes.IsolationMatcher) {
	if r.Cause != nil && r.Cause.Leg == evidence.Answer {
		return probes.BeUnansweredBy, probes.BeIsolatedFrom
	}
	return probes.BeIsolatedFrom, probes.BeUnansweredBy
}

// inconclusive says that nothing accounts for the end of every probe, and that it
// is said what is known.
func inconclusive(ctx SpecContext, from *harness.Node, to probes.Target, known string, asked ...probes.Probe) []probes.Result {
	GinkgoHelper()
	results := watch(ctx, from, to, asked...)
	for _, r := range results {
		Expect(r.Cause).To(HaveValue(HaveField("Kind", evidence.Unknown)), "%s", r.Timeline)
		noVerdict(probes.BeIsolatedFrom(to), r, "inconclusive: ", known)
		noVerdict(probes.BeIsolatedFrom(to).Because(evidence.Unknown), r, "inconclusive: ", known)
	}
	return results
}

// seen asks under watch what ends before its time: nothing waits for a timeout whose
// end can be seen.
func seen(ctx SpecContext, from *harness.Node, to probes.Target, asked ...probes.Probe) []probes.Result {
	GinkgoHelper()
	results := watch(ctx, from, to, patient(asked...)...)
	Expect(results).To(HaveEach(HaveField("RTT", BeNumerically("<", soon))))
	return results
}

// watch asks all probes at once, each under a watch of its own; a result for each
// probe and address.
func watch(ctx SpecContext, from *harness.Node, to probes.Target, asked ...probes.Probe) (results []probes.Result) {
	GinkgoHelper()
	found, errs := make([]probes.Result, len(asked)), make([]error, len(asked))
	var asking sync.WaitGroup
	for i, p := range asked {
		asking.Go(func() { found[i], errs[i] = probes.Watch(ctx, from, to, p) })
	}
	asking.Wait()
	Expect(errors.Join(errs...)).NotTo(HaveOccurred())
	for _, r := range found {
		if len(r.Each) == 0 {
			r.Each = []probes.Result{r}
		}
		results = append(results, r.Each...)
	}
	for _, r := range results {
		AddReportEntry(r.String(), causeOf(r), ReportEntryVisibilityFailureOrVerbose)
	}
	return results
}

func causeOf(r probes.Result) string {
	if r.Cause == nil {
		return "no cause"
	}
	return r.Cause.String()
}

// noVerdict says that a matcher judges nothing, so that To and NotTo fail alike,
// and says why.
func noVerdict(matcher OmegaMatcher, actual any, why ...string) {
	GinkgoHelper()
	holds, err := matcher.Match(actual)
	Expect(holds).To(BeFalse())
	Expect(err).To(HaveOccurred())
	for _, text := range why {
		Expect(err).To(MatchError(ContainSubstring(text)))
	}
}

// onItsWay says which leg was stopped.
func onItsWay(leg evidence.Role) OmegaMatcher {
	return HaveEach(HaveField("Cause.Leg", leg))
}

// notHeld says that a matcher does not hold: the opposite is shown, or it judges nothing and
// says why in one of these words.
func notHeld(matcher OmegaMatcher, actual any, why ...string) {
	GinkgoHelper()
	holds, err := matcher.Match(actual)
	Expect(holds).To(BeFalse())
	if err == nil {
		return
	}
	var says []OmegaMatcher
	for _, text := range why {
		says = append(says, ContainSubstring(text))
	}
	Expect(err).To(MatchError(Or(says...)))
}
