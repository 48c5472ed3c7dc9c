package probes

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/nstest/nstest/harness"
)

// Train is a row of echo requests. The zero value is five of them, 10 ms apart.
type Train struct {
	Count    int           // how many; 0 is 5
	Interval time.Duration // from one to the next; 0 is 10 ms
	Size     int           // payload in bytes, as Probe.Size
	Within   time.Duration // the wait for each answer, as Probe.Within
}

// Stats is what came of a train. A round trip's times are to the nanosecond of
// the clock; they are zero when nothing was received.
type Stats struct {
	Sent, Received        int
	Min, Avg, Max, StdDev time.Duration
	// Duplicates are answers that came again, as far as they came before the train's end, and Reordered
	// those that came after the answer to a later request: theirs was given up before.
	Duplicates, Reordered int
	// Results are the single probes, in order.
	Results []Result
}

// Loss is the part that was not answered, from 0 to 1; also 1 when nothing was
// sent, since a train that never left shows no way free of loss.
func (s Stats) Loss() float64 {
	if s.Sent == 0 {
		return 1
	}
	return 1 - float64(s.Received)/float64(s.Sent)
}

// String is the summary of ping(8).
func (s Stats) String() string {
	text := fmt.Sprintf("%d sent, %d received", s.Sent, s.Received)
	if s.Duplicates > 0 {
		text += fmt.Sprintf(", +%d duplicates", s.Duplicates)
	}
	if s.Reordered > 0 {
		text += fmt.Sprintf(", %d reordered", s.Reordered)
	}
	text += fmt.Sprintf(", %.0f%% loss", 100*s.Loss())
	if s.Received > 0 {
		round := func(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
		text += fmt.Sprintf(", rtt min/avg/max/stddev %s/%s/%s/%s", round(s.Min), round(s.Avg), round(s.Max), round(s.StdDev))
	}
	return text
}

// Ping sends a train of echo requests, each after the one before was answered or
// given up and its interval is over. A context that is over ends it with an
// error, and the statistics so far. Stream does not wait for answers.
func Ping(ctx context.Context, from *harness.Node, to Target, train Train) (stats Stats, err error) {
	if ctx == nil {
		return stats, fmt.Errorf("ping: %w", errNoContext)
	}
	if train.Count <= 0 {
		train.Count = 5
	}
	if train.Interval <= 0 {
		train.Interval = 10 * time.Millisecond
	}
	if isNone(from) || to == nil {
		_, err := Ask(ctx, from, to, ICMP()) // which says what is missing
		return stats, err
	}
	ear, err := openTrainEar(from)
	if err != nil {
		return stats, fmt.Errorf("ping %s -> %s: %w", from, to, err)
	}
	defer ear.close()
	defer stats.finish()
	ticker := time.NewTicker(train.Interval)
	defer ticker.Stop()
	for i := range train.Count {
		if i > 0 {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return stats, fmt.Errorf("ping %s -> %s: %w", from, to, ctx.Err())
			}
		}
		result, err := Ask(ctx, from, to, ICMP().Size(train.Size).Within(train.Within))
		if err != nil {
			return stats, err
		}
		stats.add(result)
		ear.hear(&stats)
	}
	return stats, nil
}

func (s *Stats) add(r Result) {
	s.Results = append(s.Results, r)
	if r.Outcome != Unsent {
		s.Sent++
	}
	if r.Outcome != Answered {
		return
	}
	if s.Received == 0 || r.RTT < s.Min {
		s.Min = r.RTT
	}
	s.Max = max(s.Max, r.RTT)
	s.Received++
}

// finish computes the mean and the standard deviation (of the population).
func (s *Stats) finish() {
	if s.Received == 0 {
		return
	}
	var sum, squares float64
	for _, r := range s.Results {
		if r.Outcome == Answered {
			sum += float64(r.RTT)
			squares += float64(r.RTT) * float64(r.RTT)
		}
	}
	n := float64(s.Received)
	mean := sum / n
	s.Avg = time.Duration(mean)
	s.StdDev = time.Duration(math.Sqrt(max(0, squares/n-mean*mean)))
}
