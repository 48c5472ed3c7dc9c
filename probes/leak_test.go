package probes_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
)

// These tests are not parallel: they count what the whole process holds.

// ours are the goroutines that run code of the package, by their innermost
// function of it; not the tests that wait for their turn.
func ours() (functions []string) {
	var text bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&text, 2)
	for _, stack := range strings.Split(text.String(), "\n\n") {
		_, rest, is := strings.Cut(stack, "/nstest/probes.")
		if is && !strings.Contains(stack, "testing.(*T).Parallel(") {
			name, _, _ := strings.Cut(rest, "\n")
			functions = append(functions, name)
		}
	}
	return functions
}

// sockets are the process's socket descriptors.
func sockets(t *testing.T) (count int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if link, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(link, "socket:") {
			count++
		}
	}
	return count
}

// gone asserts that no goroutine is left of what was, and no more than so many sockets.
func gone(t *testing.T, what string, most int) {
	t.Helper()
	g := gomega.NewWithT(t)
	g.Eventually(ours).WithTimeout(10*time.Second).Should(gomega.BeEmpty(), what)
	g.Eventually(func() int { return sockets(t) }).WithTimeout(10*time.Second).Should(gomega.BeNumerically("<=", most), what)
}

// acquainted has a lab asked once: from then on until its end it hears who has which address.
func acquainted(t *testing.T, lab *harness.Lab) {
	t.Helper()
	if _, err := probes.Ask(t.Context(), lab.Node("client"), lab.Node("fw"), icmp); err != nil {
		t.Fatal(err)
	}
}

// endless are questions that only their context ends: nobody has the one address,
// and the other's kernel is told to be silent.
func endless(lab *harness.Lab) map[string]func(context.Context) error {
	client, silent, absent := lab.Node("client"), netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("10.0.1.77")
	asked := func(to netip.Addr, p probes.Probe) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := probes.Ask(ctx, client, to, p.Within(time.Hour))
			return err
		}
	}
	return map[string]func(context.Context) error{
		"Ask ICMP": asked(silent, icmp),
		"Ask TCP":  asked(absent, web),
		"Ask UDP":  asked(absent, dns),
		"Ping": func(ctx context.Context) error {
			_, err := probes.Ping(ctx, client, silent, probes.Train{Within: time.Hour})
			return err
		},
		"Survey": func(ctx context.Context) error {
			grid := probes.Grid{From: lab.Nodes(), To: []probes.Target{silent, absent}}
			for _, p := range []probes.Probe{icmp, web, dns} {
				grid.Probes = append(grid.Probes, p.Within(time.Hour))
			}
			_, err := grid.Survey(ctx)
			return err
		},
	}
}

func TestNothingOutlivesItsContext(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes what is forgotten
	before := sockets(t)
	lab := harness.Up(t, office(""))
	if err := lab.Node("server").SetSysctl("net.ipv4.icmp_echo_ignore_all", "1"); err != nil {
		t.Fatal(err)
	}
	patient(t, "lan", lab.Node("client"), lab.Node("fw"))
	acquainted(t, lab)
	up := sockets(t)
	for what, f := range endless(lab) {
		ctx, cancel := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		for range 50 {
			asking.Go(func() {
				if err := f(ctx); err == nil {
					t.Errorf("%s: no error when its context ended", what)
				}
			})
		}
		gomega.NewWithT(t).Eventually(ours).WithTimeout(10*time.Second).ShouldNot(gomega.BeEmpty(), "the control: "+what)
		cancel()
		asking.Wait()
		gone(t, what, up)
	}
	lab.Down()
	gone(t, "the lab", before)
}

func TestNothingIsLeftOfASurvey(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes what is forgotten
	before := sockets(t)
	lab := harness.Up(t, office(""))
	t.Run("served", func(t *testing.T) {
		probes.Serve(t, lab.Node("server"), web, dns)
		acquainted(t, lab)
		up := sockets(t)
		for range 3 {
			if _, err := probes.Survey(t.Context(), lab, icmp, web, dns, probes.TCP(81)); err != nil {
				t.Fatal(err)
			}
			gomega.NewWithT(t).Eventually(func() int { return sockets(t) }).WithTimeout(10 * time.Second).Should(gomega.BeNumerically("<=", up))
		}
	})
	lab.Down()
	gone(t, "surveys and responders", before)
}

// A survey that cannot enter one of its nodes closes what it opened in others.
func TestNothingIsLeftOfASurveyThatFails(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	lab, down := harness.Up(t, office("")), harness.Up(t, office(""))
	grid := probes.Grid{From: []*harness.Node{lab.Node("client"), down.Node("server")}, To: []probes.Target{netip.MustParseAddr("10.0.1.2")}}
	down.Down()
	acquainted(t, lab)
	up := sockets(t)
	for _, p := range []probes.Probe{icmp, web, dns} {
		grid.Probes = []probes.Probe{p}
		if matrix, err := grid.Survey(t.Context()); err == nil || !strings.Contains(err.Error(), "server") || matrix != nil {
			t.Errorf("%s: %v, %v", p, err, matrix)
		}
		if got := sockets(t); got > up {
			t.Errorf("%s: %d sockets are left", p, got-up)
		}
	}
}

// Probes that are under way when their lab goes down end with an error or a
// verdict, and leave nothing.
func TestNothingOutlivesItsLab(t *testing.T) {
	before := sockets(t)
	for range 5 {
		lab := harness.Up(t, office(""))
		client := lab.Node("client")
		var asking sync.WaitGroup
		for i := range 40 {
			p := []probes.Probe{icmp, web, dns}[i%3].Within(soon)
			asking.Go(func() {
				if r, err := probes.Ask(t.Context(), client, netip.MustParseAddr("10.0.1.77"), p); (err == nil) != (r.Outcome != 0) {
					t.Errorf("neither an error nor a verdict: %v, %v", r, err)
				}
			})
			asking.Go(func() {
				if matrix, err := probes.Survey(t.Context(), lab, p); (err == nil) != (matrix != nil) {
					t.Errorf("neither an error nor a matrix: %v, %v", matrix, err)
				}
			})
		}
		lab.Down()
		asking.Wait()
		if r, err := probes.Ask(t.Context(), client, lab.Node("fw"), icmp); err == nil || r.Outcome != 0 {
			t.Errorf("asked of a lab that is down: %v", r)
		}
		if matrix, err := probes.Survey(t.Context(), lab, icmp); err == nil || matrix != nil {
			t.Errorf("a survey of a lab that is down:\n%s", matrix)
		}
	}
	gone(t, "five labs", before)
}

// A connection that somebody keeps open does not hold up the end of a responder.
func TestServeEndsConnections(t *testing.T) {
	lab := harness.Up(t, office(""))
	var took time.Duration
	t.Run("served", func(t *testing.T) {
		var kept net.Conn
		var start time.Time
		t.Cleanup(func() { took = time.Since(start); kept.Close() })
		probes.Serve(t, lab.Node("server"), web) // its clean-up runs before that one
		var err error
		if kept, err = lab.Node("client").Dial(t.Context(), "tcp", netip.MustParseAddrPort("10.0.2.1:80")); err != nil {
			t.Fatal(err)
		}
		if r := ask(t, lab.Node("client"), lab.Node("server"), web); !r.Proven { // it was accepted after that one
			t.Error(r)
		}
		start = time.Now()
	})
	if took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
}
