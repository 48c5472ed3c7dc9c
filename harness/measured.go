package harness

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/topo"
)

// MeasuredImpairment is what became of frames on one way of a port, beside what was set there.
type MeasuredImpairment struct {
	Node, Port string
	// Received is true of what comes to the node by the port; else it is of what that sends.
	Received bool
	// From is the port that it comes from ("london/lan"), where what comes from that has an impairment of its own.
	From string
	Set  topo.Impairment
	// Sent are the frames that were sent: so many were Lost, or came Twice, came Early, before the delay
	// was over, or Damaged.
	Sent, Lost, Twice, Early, Damaged int
	// Fastest and Slowest are how long frames took that came and were not early; both are zero where none did.
	Fastest, Slowest time.Duration
	// Rate is what passed for certain at some time, besides what may at once, and Best what some frames in
	// a row came by: a busy machine makes the first less, and the other more. Both are 0
	// where none was set.
	Rate, Best topo.BitRate
	// Untold are the parts of what was set that so many frames, or this machine, do not
	// tell from a way that has not got them, each with the reason.
	Untold []string

	wrong []string // what is not as set
	slow  error    // what is slower than set, which a busy machine may be
	byLot []string // bounds of what happens by chance
}

// Err says what is not as set; nil where all is, as far as it is told.
func (m MeasuredImpairment) Err() error {
	var wrong []error
	for _, what := range m.wrong {
		wrong = append(wrong, errors.New(what))
	}
	return errors.Join(append(wrong, m.slow)...)
}

// String is a line with what was set, and the figures.
func (m MeasuredImpairment) String() string {
	way := "sends"
	if m.Received {
		way = "receives"
	}
	if m.From != "" {
		way += " from " + m.From
	}
	text := fmt.Sprintf("%s/%s %s %s: ", m.Node, m.Port, way, m.Set)
	words := []string{fmt.Sprintf("%d frames sent", m.Sent)}
	words = append(words, m.byLot...)
	if m.Slowest > 0 {
		round := func(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
		words = append(words, fmt.Sprintf("%s to %s on their way", round(m.Fastest), round(m.Slowest)))
	}
	if m.Rate > 0 {
		words = append(words, fmt.Sprintf("%s to %s passed", m.Rate, m.Best))
	}
	for _, why := range m.Untold {
		words = append(words, "not told is "+why)
	}
	if err := m.Err(); err != nil {
		words = append(words, "NOT AS SET: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return text + strings.Join(words, ", ")
}

// lot checks a count of what happens by chance to a part.
func (m *MeasuredImpairment) lot(what string, count, of int, part float64) {
	least, most := byChance(of, part)
	if part > 0 || count > 0 {
		m.byLot = append(m.byLot, fmt.Sprintf("%d of %d %s (by chance %d to %d)", count, of, what, least, most))
	}
	switch {
	case count < least || count > most:
		m.wrong = append(m.wrong, fmt.Sprintf("%d of %d frames were %s, and chance leaves %d to %d", count, of, what, least, most))
	case part > 0 && least == 0:
		m.Untold = append(m.Untold, fmt.Sprintf("whether any are %s: of %d frames none may be", what, of))
	}
}

const (
	// overhead is what a way without a delay may take, and a delay may take more, on a busy machine
	// at its best moment.
	overhead = 20 * time.Millisecond
	// inRow is how many frames in a row show a rate, where nothing has held the machine up.
	inRow = 8
)

// lots are the parts of frames of which nothing comes, and of which two do. What is lost of one that is doubled
// leaves one; else its copy may be lost as well (netem_enqueue, net/sched/sch_netem.c).
func lots(set topo.Impairment) (lost, doubled float64) {
	return set.Loss * (1 - set.Duplicate), set.Duplicate * (1 - set.Loss) * (1 - set.Loss)
}

// figure puts what was counted into figures, and compares them with what was set.
func (t *tally) figure(m *MeasuredImpairment, w way) {
	set := w.set
	*m = MeasuredImpairment{Node: m.Node, Port: m.Port, Received: m.Received, From: m.From, Set: set, Sent: len(t.sent), Lost: len(t.sent) - len(t.took), Twice: t.twice, Damaged: t.damaged}
	lost, doubled := lots(set)
	m.lot("lost", m.Lost, m.Sent, lost)
	m.lot("doubled", m.Twice, m.Sent, doubled)
	m.lot("damaged", m.Damaged, len(t.arrivals), set.Corrupt)
	for _, took := range t.took {
		if took < set.Delay-set.Jitter {
			m.Early++
			continue
		}
		if m.Fastest == 0 || took < m.Fastest {
			m.Fastest = took
		}
		m.Slowest = max(m.Slowest, took)
	}
	if _, most := byChance(len(t.took), set.Reorder); m.Early > most {
		m.wrong = append(m.wrong, fmt.Sprintf("%d of %d frames came in less than %s, and chance leaves %d of them undelayed", m.Early, len(t.took), set.Delay-set.Jitter, most))
	}
	if set.Reorder > 0 {
		m.Untold = append(m.Untold, "how many overtake others: a busy machine delays those as well")
	}
	if most := set.Delay + set.Jitter + max(overhead, (set.Delay+set.Jitter)/2); m.Fastest > most {
		m.slow = fmt.Errorf("the fastest of %d frames took %s, for %s", len(t.took), m.Fastest.Round(time.Microsecond), w.expected())
	}
	if set.Rate > 0 {
		t.rate(m, w)
	}
}

func (w way) expected() string {
	if w.set.Delay == 0 {
		return "no delay"
	}
	return "a delay of " + w.set.Delay.String()
}

// rate compares how much passed with the rate: no more than that can, but for what may at once,
// however busy the machine is; and some frames in a row are as fast, if that is not.
func (t *tally) rate(m *MeasuredImpairment, w way) {
	const bits, more, less = 8, 1.02, 0.8
	free := burstOf(w.set, w.mtu)
	if len(t.arrivals)*t.size <= free {
		m.Untold = append(m.Untold, "the rate: all that came may pass at once")
		return
	}
	fastest := 0.0
	for i := free/t.size + 1; i+inRow < len(t.arrivals); i++ {
		fastest = max(fastest, float64(bits*inRow*t.size)/t.arrivals[i+inRow].at.Sub(t.arrivals[i].at).Seconds())
	}
	m.Rate, m.Best = rounded(bits*t.certain(free)), rounded(fastest)
	switch set := float64(w.set.Rate); {
	case float64(m.Rate) > more*set:
		m.wrong = append(m.wrong, fmt.Sprintf("%s passed, for a rate of %s", m.Rate, w.set.Rate))
	case fastest >= less*set:
	case !t.waited:
		m.Untold = append(m.Untold, fmt.Sprintf("the rate: this machine sent no more than %s, and no queue was in its way", m.Best))
	default:
		m.slow = errors.Join(m.slow, fmt.Errorf("no more than %s passed, for a rate of %s", m.Best, w.set.Rate))
	}
}

// certain is how many bytes passed in a second for certain, besides so many that pass at once: those of
// some frames in a row did after the first of them was sent, and before the last had come.
func (t *tally) certain(free int) (most float64) {
	for row := inRow; ; row *= 2 {
		row = min(row, len(t.arrivals))
		for i := 0; i+row <= len(t.arrivals); i += max(1, row/2) {
			those := t.arrivals[i : i+row]
			first := slices.MinFunc(those, func(a, b arrival) int { return a.sent.Compare(b.sent) })
			most = max(most, float64(row*t.size-free)/those[row-1].at.Sub(first.sent).Seconds())
		}
		if row == len(t.arrivals) {
			return most
		}
	}
}

// rounded is a rate to three digits.
func rounded(rate float64) topo.BitRate {
	if rate <= 0 {
		return 0
	}
	const digits = 3
	unit := math.Pow(10, math.Floor(math.Log10(rate))-digits+1)
	return topo.BitRate(math.Round(math.Round(rate/unit) * unit))
}
