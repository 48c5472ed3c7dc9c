package harness

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// kernelVersion is the running kernel's: 6, 1 of 6.1.0-37-amd64.
var kernelVersion = sync.OnceValues(func() (major, minor int) {
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		major, minor = parseKernel(unix.ByteSliceToString(name.Release[:]))
	}
	return major, minor
})

func parseKernel(release string) (major, minor int) {
	_, _ = fmt.Sscanf(release, "%d.%d", &major, &minor)
	return major, minor
}

func kernelAtLeast(major, minor int) bool {
	m, n := kernelVersion()
	return m > major || m == major && n >= minor
}
