package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// job is what the guest is to run. Its paths are the host's: the guest has the
// same ones, so that no argument needs to be rewritten.
type job struct {
	Binary string
	Args   []string
	Dir    string
	Env    []string
	// Back are files and directories that the host wants afterwards.
	Back []string
	// Make are directories that must be there for it.
	Make []string
	// User says to run it as an ordinary user.
	User bool
	// Sysctls are what the guest's are, each "net.ipv4.ip_forward=1".
	Sysctls []string
}

// passed are the variables that the guest gets, besides NSTEST_*.
var passed = []string{
	"GOCOVERDIR", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GORACE", "GOTRACEBACK", "NO_COLOR", "TERM",
}

// files are the test flags that name a file which the test writes.
var files = []string{
	"test.blockprofile", "test.coverprofile", "test.cpuprofile", "test.memprofile", "test.mutexprofile", "test.trace",
	"ginkgo.json-report", "ginkgo.junit-report", "ginkgo.teamcity-report", "ginkgo.gojson-report",
}

// dirs are those that name a directory.
var dirs = []string{"test.gocoverdir", "test.fuzzcachedir"}

// newJob is for a command line as `go test -exec` has it, in the package's
// directory.
func newJob(binary string, args []string, dir string, environ []string) job {
	j := job{Binary: absolute(dir, binary), Dir: dir}
	output := dir
	if given := flagValue(args, "test.outputdir"); given != "" {
		output = absolute(dir, given)
		j.Make = append(j.Make, output)
	}
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case name == "test.testlogfile":
			continue // without it, go test caches no result: it would not know of the kernel
		case value == "":
		case slices.Contains(files, name):
			base := dir
			if strings.HasPrefix(name, "test.") {
				base = output
			}
			j.Back = append(j.Back, absolute(base, value))
			j.Make = append(j.Make, filepath.Dir(absolute(base, value)))
		case slices.Contains(dirs, name):
			j.back(absolute(dir, value))
		case name == "test.artifacts" && value == "true":
			j.Back = append(j.Back, filepath.Join(output, "_artifacts"))
		}
		j.Args = append(j.Args, arg)
	}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "NSTEST_") || slices.Contains(passed, name) {
			j.Env = append(j.Env, variable)
		}
		if (name == "GOCOVERDIR" || name == "NSTEST_ARTIFACTS") && value != "" {
			j.back(absolute(dir, value))
		}
	}
	return j
}

func (j *job) back(dir string) {
	j.Back = append(j.Back, dir)
	j.Make = append(j.Make, dir)
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// flagValue is the last value of a flag that is written -name=value, which is
// how `go test` writes them.
func flagValue(args []string, name string) (last string) {
	for _, arg := range args {
		given, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if given == name && strings.HasPrefix(arg, "-") {
			last = value
		}
	}
	return last
}

// timeout is how long the test gives itself; 0 is for ever.
func timeout(args []string) time.Duration {
	limit, _ := time.ParseDuration(flagValue(args, "test.timeout"))
	return limit
}

// put puts the test in: the binary with its libraries, this program as the
// guest's init, and the package's directory, as far as a test reads from it.
func (j job) put(a *archive, init string) error {
	for _, dir := range append(j.Make, j.Dir) {
		a.dir(dir, 0o755)
	}
	if err := putBinary(a, "init", init); err != nil {
		return err
	}
	if err := putBinary(a, j.Binary, j.Binary); err != nil {
		return err
	}
	entries, err := os.ReadDir(j.Dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(j.Dir, entry.Name())
		switch {
		case entry.IsDir() && entry.Name() == "testdata":
			a.tree(path, path)
		case entry.Type().IsRegular() && !strings.HasSuffix(path, ".test"):
			a.copy(path, path)
		}
	}
	return a.err
}
