package truth_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// judged are all worlds that this process has judged.
var judged struct {
	sync.Mutex
	of    *tally
	since time.Time
}

// progress is what a process of a long run has found so far, and what it holds: that
// is to stay as it is, however many networks were built.
func progress(found *tally, seeds []uint64, took time.Duration) string {
	judged.Lock()
	defer judged.Unlock()
	if judged.of == nil {
		judged.of, judged.since = newTally(), time.Now().Add(-took)
	}
	judged.of.add(found)
	clear(judged.of.Examples)
	clear(judged.of.Seconds)
	judged.of.Complaints = nil
	return fmt.Sprintf("up to seed %d this process has judged %s; %.1f networks/s; it holds %s", seeds[len(seeds)-1], judged.of.sum(), float64(judged.of.Worlds)/time.Since(judged.since).Seconds(), held())
}

// held is what the process has: memory, and what holds namespaces.
func held() string {
	memory := "?"
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			memory = strings.TrimSpace(kib)
		}
	}
	files, _ := os.ReadDir("/proc/self/fd")
	threads, _ := os.ReadDir("/proc/self/task")
	return fmt.Sprintf("%s, %d descriptors, %d threads", memory, len(files), len(threads))
}
