package fence

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nstest/nstest/probes/evidence"
)

// State is what became of a channel.
type State string

// The states.
const (
	Blocked  State = "blocked"  // it was ended on its way, and the control passed
	Open     State = "open"     // it arrived
	Unproven State = "unproven" // neither was shown
	Absent   State = "absent"   // the world has nothing to try it with
)

// Finding is what was found of one channel.
type Finding struct {
	// Channel is its name: tcp, udp6, spoofed source.
	Channel string
	State   State
	// Cause is what ended the packet, and where; nil of what is not of packets, and of
	// ARP, of which it was seen that nothing arrived where the control did.
	Cause *evidence.Cause
	// Detail is the state in a few words.
	Detail string
	// Control says how the same went from outside of the fence.
	Control string
}

// String is the finding in a line.
func (f Finding) String() string {
	text := fmt.Sprintf("%s: %s: %s", f.Channel, f.State, f.Detail)
	if f.Control != "" {
		text += "; control: " + f.Control
	}
	return text
}

// Report is what Check found, channel by channel.
type Report struct {
	Findings []Finding
	Took     time.Duration
}

// Holes are the findings that are neither blocked nor absent, but for the channels that
// are named: what a fence lets through that it should not, or may.
func (r Report) Holes(except ...string) (holes []Finding) {
	allowed := map[string]bool{}
	for _, name := range except {
		allowed[name] = true
	}
	for _, f := range r.Findings {
		if !allowed[f.Channel] && (f.State == Open || f.State == Unproven) {
			holes = append(holes, f)
		}
	}
	return holes
}

// tried says whether any channel was: a report that has only absent ones shows nothing.
func (r Report) tried() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.State != Absent })
}

// Finding is that of a channel; false where there is no such channel.
func (r Report) Finding(channel string) (Finding, bool) {
	for _, f := range r.Findings {
		if f.Channel == channel {
			return f, true
		}
	}
	return Finding{}, false
}

// String is a table, a line for each channel.
func (r Report) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Channel, f.State, f.Detail)
	}
	_ = w.Flush()
	return text.String()
}
