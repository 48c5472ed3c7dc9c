package harness

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// The bundle has the figures of what is set now, or says that it was not measured.
func TestTheBundleSaysWhatWasMeasured(t *testing.T) {
	t.Parallel()
	network := topo.New("rates")
	wire := network.Wire("wire", "10.0.1.0/24")
	network.Host("a", wire.At().Impair(topo.Impairment{Rate: 8 * topo.Mbit}))
	network.Host("b", wire)
	lab := Up(t, network)
	says := func(want string) {
		t.Helper()
		b := &bundle{lab: lab, ctx: t.Context(), dir: t.TempDir()}
		files := b.impairments()
		if len(files) == 0 {
			if want != "" {
				t.Errorf("there is no %s", want)
			}
			return
		}
		text, err := os.ReadFile(filepath.Join(b.dir, files[0].name))
		if err = errors.Join(err, files[0].err); err != nil {
			t.Error(err)
		}
		if want == "" || !regexp.MustCompile(want).Match(text) {
			t.Errorf("%s is no %q", text, want)
		}
	}
	says(`^a/wire sends rate 8 Mbit/s: not measured \(Lab.MeasureImpairments\)\n$`)
	if _, err := lab.MeasureImpairments(t.Context()); err != nil {
		t.Error(err)
	}
	says(`^a/wire sends rate 8 Mbit/s: 662 frames sent, .* to .* passed\n$`)
	if err := lab.Node("a").Port("wire").Impair(topo.Impairment{Rate: topo.Mbit}); err != nil {
		t.Error(err)
	}
	says(`^a/wire sends rate 1 Mbit/s: not measured`)
	if err := lab.Node("a").Port("wire").Impair(topo.Impairment{}); err != nil {
		t.Error(err)
	}
	says("")
	if all, err := lab.MeasureImpairments(t.Context()); len(all) > 0 || err != nil {
		t.Error("nothing is set: ", all, err)
	}
}

func TestWhatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	network := topo.New("rates")
	wire := network.Wire("wire", "10.0.1.0/24")
	network.Host("a", wire.At().Impair(topo.Impairment{Rate: topo.Kbit}))
	network.Host("b", wire)
	lab := Up(t, network)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	var none context.Context
	for want, ctx := range map[string]context.Context{"measure impairments: the context is nil": none, "measure impairments: a/wire sends: context canceled": over} {
		if _, err := lab.MeasureImpairments(ctx); err == nil || err.Error() != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
	if err := lab.Node("b").Port("wire").Down(); err != nil {
		t.Error(err)
	}
	if _, err := lab.MeasureImpairments(t.Context()); err == nil || !regexp.MustCompile(`^measure impairments: a/wire sends: (send a frame|read frames): network is down`).MatchString(err.Error()) {
		t.Error("its wire is down: ", err)
	}
	w := lab.now().site.way(spot{"a", "over"}, sending, topo.Impairment{Loss: 1})
	if m, err := w.measure(t.Context()); err != nil || m.Err() != nil || len(m.Untold) != 1 || m.Sent != 0 {
		t.Error("of a segment over another: ", m, err)
	}
	lab.Down()
	if _, err := lab.MeasureImpairments(t.Context()); !errors.Is(err, errDown) {
		t.Error(err)
	}
}

// What comes from one of a switch is measured as it passes that switch, and is not as set where the switch has no
// filter for it any more.
func TestWhatIsImpairedBetweenTwoIsMeasured(t *testing.T) {
	t.Parallel()
	const rate = 8 * topo.Mbit
	network := topo.New("pairs")
	lan := network.Switch("lan", "10.0.1.0/24")
	network.Host("a", lan)
	network.Host("b", lan.At().ImpairReceivedFrom("a", topo.Impairment{Rate: rate}))
	lab := Up(t, network)
	all, err := lab.MeasureImpairments(t.Context())
	if err != nil || len(all) != 1 || all[0].From != "a/lan" || all[0].Rate == 0 {
		t.Error(all, err)
	}
	s, b := lab.now().site, new(batch)
	b.beginQdisc(unix.RTM_DELTFILTER, 0, s.outer[spot{"b", "lan"}], htbHandle, 0)
	b.end(describe("take the filters away"))
	if err := s.fabric.rtnl.do(b); err != nil {
		t.Fatal(err)
	}
	_, err = lab.MeasureImpairments(t.Context())
	if err == nil || !regexp.MustCompile(`^measure impairments: b/lan receives from a/lan: \S+ [MG]bit/s passed, for a rate of 8 Mbit/s$`).MatchString(err.Error()) {
		t.Error(err)
	}
}
