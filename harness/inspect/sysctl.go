package inspect

import (
	"os"
	"strings"
)

// readSysctls reads sysctls; one that is not there is "". The calling thread is in
// the namespace.
func (s *State) readSysctls(keys []string) {
	for _, key := range keys {
		value, _ := os.ReadFile("/proc/sys/" + key)
		s.Sysctls[key] = strings.TrimSpace(string(value))
	}
}
