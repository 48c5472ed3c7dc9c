package main

import (
	"fmt"
	"time"

	"github.com/nstest/nstest/vagrant/internal/report"
)

// cell is how a suite went on a kernel.
type cell struct {
	report.Tally
	status int    // the exit status
	lost   string // why there is no report
	took   time.Duration
	// spent is what the guest took of the machine's processors: on a busy machine it says
	// how long the suite takes on a quiet one.
	spent time.Duration
}

// ok holds when the status and all specs say so.
func (c cell) ok() bool { return c.status == 0 && len(c.Failures) == 0 && c.lost == "" }

func (c cell) String() string {
	switch {
	case c.lost != "":
		return "FAIL: " + c.lost
	case len(c.Failures) > 0:
		return "FAIL: " + c.Tally.String()
	case c.status != 0:
		// A test beside the specs, or what the tests left behind.
		return fmt.Sprintf("FAIL: status %d, %s", c.status, c.Tally)
	}
	return c.Tally.String()
}
