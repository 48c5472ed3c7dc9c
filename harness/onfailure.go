package harness

import "io"

// OnFailure registers a file of the failure bundle. When the test has failed, f
// writes it while the lab is still up; else f is never called, and nothing is
// written. An error of f, or a panic, is noted in the bundle and fails nothing.
// The bundle waits some seconds for f, and no longer: then its writer refuses.
//
// The name may have folders, with slashes ("captures/web.pcapng"), and is changed
// where a file system would not take it; one that is there already gets a number.
//
// # The bundle
//
// It is what a lab's end takes away, for whoever looks into the failure later: the
// plan; for each node its links, addresses, routes, neighbours, rulesets with their
// counters, tracked connections, sockets and sysctls; what others registered
// here; and the line that repeats the test. The test's log says where it is:
//
//   - $NSTEST_ARTIFACTS/PACKAGE/TEST, where the variable is set; a relative path is
//     taken from the package's directory. PACKAGE is the import path without the
//     module's, TEST the test's name with all that is special in it replaced;
//   - else in the test's artifact directory, when go test -artifacts keeps it;
//   - else in a temporary directory.
//
// Where there is a bundle already (a second lab of the test, another process, an
// earlier run) the new one's name gets a number: nothing is overwritten. A lab that
// the test itself took down, with Lab.Down, before it failed has no bundle; neither
// has one of Ginkgo's BeforeSuite, where no spec's failure is known.
func (l *Lab) OnFailure(name string, f func(io.Writer) error) {
	if f == nil {
		f = func(io.Writer) error { return errNoFunction }
	}
	l = l.here()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isEnding {
		l.onFailure = append(l.onFailure, record{name, f})
	}
}

// record is a file that somebody adds to the bundle.
type record struct {
	name  string
	write func(io.Writer) error
}
