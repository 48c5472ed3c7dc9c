package inspect

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// QueueReaders are the numbers of the queues (NFQUEUE) of the calling thread's namespace
// that a program reads.
func QueueReaders() (numbers []int, err error) {
	text, err := os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // its module is not loaded
	}
	if err != nil {
		return nil, fmt.Errorf("list readers of queues: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			if n, err := strconv.Atoi(fields[0]); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	return numbers, nil
}
