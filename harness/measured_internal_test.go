package harness

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/topo"
)

// The bounds are those that sums of the distribution's own terms leave, which are made here one
// from another, from the mean on.
func TestBoundsOfChance(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		n int
		p float64
	}{{200, 0.5}, {1000, 0.1}, {2100, 0.01}, {20000, 0.001}, {50, 0.9}, {3, 0.5}} {
		terms := make([]float64, row.n+1)
		mean := int(row.p * float64(row.n))
		terms[mean] = 1
		for k := mean; k < row.n; k++ {
			terms[k+1] = terms[k] * float64(row.n-k) / float64(k+1) * row.p / (1 - row.p)
		}
		for k := mean; k > 0; k-- {
			terms[k-1] = terms[k] * float64(k) / float64(row.n-k+1) * (1 - row.p) / row.p
		}
		all := sum(terms)
		least, most := byChance(row.n, row.p)
		for _, tail := range []struct {
			in, out []float64
		}{{terms[:least], terms[:least+1]}, {terms[most+1:], terms[most:]}} {
			if in, out := sum(tail.in)/all, sum(tail.out)/all; in > unlikely || out <= unlikely {
				t.Errorf("%d of %g: %d to %d: beyond are %g, and with the next %g", row.n, row.p, least, most, in, out)
			}
		}
	}
	for want, got := range map[[2]int][2]int{{0, 0}: both(byChance(100, 0)), {100, 100}: both(byChance(100, 1)), {}: both(byChance(0, 0.5))} {
		if got != want {
			t.Errorf("%v, not %v", got, want)
		}
	}
}

func sum(terms []float64) (all float64) {
	terms = slices.Sorted(slices.Values(terms))
	for _, term := range terms {
		all += term
	}
	return all
}

func both(a, b int) [2]int { return [2]int{a, b} }

// counted is what came of so many frames, one of which was sent each millisecond: some were lost,
// and the others took so long.
func counted(n, lost int, took time.Duration) *tally {
	t := &tally{size: plainFrame, took: map[uint32]time.Duration{}}
	begun := time.Unix(0, 0)
	for i := range n {
		sent := begun.Add(time.Duration(i) * time.Millisecond)
		t.sent = append(t.sent, sent)
		if i >= lost {
			t.took[uint32(i)], t.arrivals = took, append(t.arrivals, arrival{sent, sent.Add(took)})
		}
	}
	return t
}

// judged is what is said of a tally where something was set.
func judged(set topo.Impairment, of *tally) MeasuredImpairment {
	m := MeasuredImpairment{Node: "fw", Port: "dmz"}
	of.figure(&m, way{set: set, mtu: defaultMTU})
	return m
}

func TestWhatIsMeasuredIsComparedWithWhatWasSet(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	doubled := counted(200, 0, ms)
	doubled.twice = 40
	damaged := counted(200, 0, ms)
	damaged.damaged = 9
	mixed := counted(200, 0, 40*ms)
	for i := range uint32(50) {
		mixed.took[i] = ms
	}
	waiting := counted(1000, 0, ms)
	waiting.waited = true
	slow := topo.Impairment{Delay: 40 * ms, Jitter: 10 * ms}
	for name, row := range map[string]struct {
		set  topo.Impairment
		of   *tally
		want string // of the error; "" for none
	}{
		"nothing":                {topo.Impairment{}, counted(200, 0, ms), ""},
		"a loss":                 {topo.Impairment{Loss: 0.1}, counted(210, 20, ms), ""},
		"a loss that is not":     {topo.Impairment{Loss: 0.1}, counted(210, 0, ms), "0 of 210 frames were lost, and chance leaves 1 to 51"},
		"a loss that is twice":   {topo.Impairment{Loss: 0.1}, counted(2100, 420, ms), "420 of 2100 frames were lost, and chance leaves"},
		"a loss that nobody set": {topo.Impairment{Delay: ms}, counted(200, 1, ms), "1 of 200 frames were lost, and chance leaves 0 to 0"},
		"all lost":               {topo.Impairment{Loss: 1}, counted(200, 200, ms), ""},
		"all lost but one":       {topo.Impairment{Loss: 1}, counted(200, 199, ms), "199 of 200 frames were lost"},
		"duplicates":             {topo.Impairment{Duplicate: 0.2}, doubled, ""},
		"duplicates, not set":    {topo.Impairment{}, doubled, "40 of 200 frames were doubled"},
		"damage, not set":        {topo.Impairment{}, damaged, "9 of 200 frames were damaged"},
		"a delay":                {slow, counted(200, 0, 35*ms), ""},
		"a delay, on a busy day": {slow, counted(200, 0, 69*ms), ""},
		"a delay too short":      {slow, counted(200, 0, 29*ms), "200 of 200 frames came in less than 30ms"},
		"a delay too long":       {slow, counted(200, 0, 90*ms), "the fastest of 200 frames took 90ms, for a delay of 40ms"},
		"a delay, not set":       {topo.Impairment{Loss: 1e-9}, counted(200, 0, 90*ms), "took 90ms, for no delay"},
		"some overtake":          {topo.Impairment{Delay: 40 * ms, Reorder: 0.25}, mixed, ""},
		"too many overtake":      {topo.Impairment{Delay: 40 * ms, Reorder: 0.01}, mixed, "50 of 200 frames came in less than 40ms, and chance leaves"},
		"a rate":                 {topo.Impairment{Rate: 1600 * topo.Kbit}, waiting, ""},
		"a rate that is passed":  {topo.Impairment{Rate: 800 * topo.Kbit}, waiting, "1.58 Mbit/s passed, for a rate of 800 kbit/s"},
		"a rate that is not had": {topo.Impairment{Rate: 8 * topo.Mbit}, waiting, "no more than 1.6 Mbit/s passed, for a rate of 8 Mbit/s"},
		"a rate of no queue":     {topo.Impairment{Rate: 8 * topo.Mbit}, counted(1000, 0, ms), ""},
	} {
		m := judged(row.set, row.of)
		switch err := m.Err(); {
		case row.want == "" && err != nil, row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: %v\ndoes not say %q: %s", name, err, row.want, m)
		case err != nil && !strings.Contains(m.String(), "NOT AS SET: "+strings.Split(err.Error(), "\n")[0]):
			t.Errorf("%s: the line does not say so: %s", name, m)
		}
	}
}

// What so many frames, or this machine, do not tell is said.
func TestWhatIsNotTold(t *testing.T) {
	t.Parallel()
	short := counted(10, 0, time.Millisecond)
	for want, m := range map[string]MeasuredImpairment{
		"whether any are lost: of 200 frames none may be":                                  judged(topo.Impairment{Loss: 0.001}, counted(200, 0, 0)),
		"how many overtake others":                                                         judged(topo.Impairment{Delay: 1, Reorder: 0.5}, counted(200, 0, 1)),
		"the rate: all that came may pass at once":                                         judged(topo.Impairment{Rate: topo.Mbit}, short),
		"the rate: this machine sent no more than 1.6 Mbit/s, and no queue was in its way": judged(topo.Impairment{Rate: topo.Gbit}, counted(1000, 0, 0)),
	} {
		if !slices.ContainsFunc(m.Untold, func(why string) bool { return strings.HasPrefix(why, want) }) || !strings.Contains(m.String(), "not told is "+want) {
			t.Errorf("%q: %s", want, m)
		}
	}
}

// A frame is known by its number, whichever of its bits is flipped.
func TestADamagedFrameIsKnown(t *testing.T) {
	t.Parallel()
	for _, size := range []int{etherLeast, plainFrame} {
		r := &sender{nonce: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}
		r.size, r.sent = size, make([]time.Time, 8)
		for bit := range 8 * size {
			frame := r.frame(7)
			frame[bit/8] ^= 1 << (bit % 8)
			if number, ours := r.number(frame); !ours || number != 7 {
				t.Errorf("bit %d of %d bytes: %d, %v", bit, size, number, ours)
			}
		}
		if _, ours := r.number(make([]byte, size)); ours {
			t.Error("zeroes are no frame of ours")
		}
	}
}

// How many frames a way needs follows from what was set there.
func TestHowManyFramesAreSent(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		set                 topo.Impairment
		size, count, atOnce int
	}{
		{topo.Impairment{Delay: time.Second}, plainFrame, fewest, ahead},
		{topo.Impairment{Loss: 0.01}, plainFrame, 2100, ahead},
		{topo.Impairment{Loss: 1e-6}, plainFrame, most, ahead},
		{topo.Impairment{Rate: topo.Kbit}, etherLeast, 3028/etherLeast + 12, ahead},
		{topo.Impairment{Rate: 8 * topo.Mbit, Limit: 10}, defaultMTU + etherHeader, 2 + 660, 5},
		{topo.Impairment{Rate: topo.Gbit, Delay: time.Second}, defaultMTU + etherHeader, 82 + 1000, farAhead},
	} {
		size, count, atOnce := way{set: row.set, mtu: defaultMTU}.frames()
		if size != row.size || count != row.count || atOnce != row.atOnce {
			t.Errorf("%s: %d frames of %d bytes, %d at once", row.set, count, size, atOnce)
		}
		if math.MaxInt32 < count*size {
			t.Error("too much")
		}
	}
}
