// Kernels runs suites on several kernels, each in a virtual machine of its own
// (see vmtest), and prints a table of what passed, failed and was skipped:
//
//	go run ./vagrant/kernels -kernels '5.10 6.1 6.12' ./suites/... [-- FLAG...]
//
// The flags behind the packages are the test binaries'. In such a machine nothing
// is missing: NSTEST_STRICT is 1 unless it is set. What policy.Cover reported, and a suite left as
// NSTEST_ARTIFACTS/policies/RULESET.json, is compared from kernel to kernel. Reports (JSON and JUnit), logs
// and the bundles of failed tests are in NSTEST_ARTIFACTS, or in the user's cache
// directory, in nstest/report.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"github.com/nstest/nstest/vagrant/internal/report"
	"golang.org/x/sys/unix"
)

func main() {
	kernels := flag.String("kernels", "5.10 6.1 6.12", "the `versions`, with spaces between")
	limit := flag.Duration("timeout", 20*time.Minute, "how long a suite may take on a kernel")
	user := flag.Bool("user", false, "run them as an ordinary user")
	sysctls := flag.String("sysctls", "", "what a guest's sysctls are, `key=value` with spaces or commas between")
	flag.Parse()
	packages, arguments := split(flag.Args())
	// Whoever started this is gone when it gets SIGTERM: see prctl(2).
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	m := matrix{kernels: strings.Fields(*kernels), packages: packages, arguments: arguments, limit: *limit, user: *user, sysctls: *sysctls}
	ok, err := m.main(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// split takes the packages off the command line. The rest begins with a flag or
// behind "--".
func split(args []string) (packages, arguments []string) {
	for i, arg := range args {
		if arg == "--" {
			return args[:i], args[i+1:]
		}
		if strings.HasPrefix(arg, "-") {
			return args[:i], args[i:]
		}
	}
	return args, nil
}

// matrix is what is to be run.
type matrix struct {
	kernels, packages, arguments []string
	limit                        time.Duration
	user                         bool
	scratch, reports, sysctls    string
}

// suite is a package with its test binary.
type suite struct{ name, dir, binary string }

func (m matrix) main(ctx context.Context) (ok bool, err error) {
	scratch, remove, err := cache.Scratch()
	if err != nil {
		return false, err
	}
	defer remove()
	m.scratch = scratch
	var free func()
	if m.reports, free, err = reportDir(ctx); err != nil {
		return false, err
	}
	defer free()
	suites, err := m.build(ctx)
	if err != nil {
		return false, err
	}
	all := results{kernels: m.kernels, cells: map[[2]string]cell{}}
	for _, s := range suites {
		all.suites = append(all.suites, s.name)
	}
	for _, kernel := range m.kernels {
		for _, s := range suites {
			c := m.run(ctx, kernel, s)
			if ctx.Err() != nil {
				return false, errors.New("interrupted")
			}
			all.cells[[2]string{s.name, kernel}] = c
			fmt.Printf("%-5s %-12s %s in %.0f s, of a processor %.0f s\n", kernel, s.name, c, c.took.Seconds(), c.spent.Seconds())
		}
	}
	if all.policies, err = m.policies(all.suites); err != nil {
		return false, fmt.Errorf("compare policies: %w", err)
	}
	fmt.Println()
	all.write(os.Stdout)
	fmt.Println("\nreports, logs and bundles:", m.reports)
	return all.ok(), report.Summarize(all.write)
}

// reportDir is where reports go. In the cache, the last run's make place, but not those
// of a run that is under way.
func reportDir(ctx context.Context) (dir string, free func(), err error) {
	if dir := os.Getenv("NSTEST_ARTIFACTS"); dir != "" {
		dir, err := filepath.Abs(dir)
		return dir, func() {}, errors.Join(err, os.MkdirAll(dir, 0o755))
	}
	if dir, err = cache.Dir("report"); err != nil {
		return "", nil, err
	}
	free, err = cache.LockAfter(ctx, "report", func() {
		fmt.Fprintf(os.Stderr, "kernels: another run has its reports in %s: waiting for its end; NSTEST_ARTIFACTS=DIR names another place\n", dir)
	})
	if err != nil {
		return "", nil, err
	}
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
		free()
		return "", nil, err
	}
	return dir, free, nil
}

// build builds vmtest and the test binaries, without cgo: they run anywhere.
func (m matrix) build(ctx context.Context) (suites []suite, err error) {
	if err := m.goTool(ctx, "build", "-o", m.scratch+"/vmtest", "github.com/nstest/nstest/vagrant/vmtest"); err != nil {
		return nil, err
	}
	if err := m.goTool(ctx, append([]string{"test", "-c", "-o", m.scratch + "/"}, m.packages...)...); err != nil {
		return nil, err
	}
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-f", "{{.ImportPath}}\t{{.Dir}}"}, m.packages...)...)
	list.Stderr = os.Stderr
	text, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		binary := filepath.Join(m.scratch, path.Base(name)+".test")
		if _, err := os.Stat(binary); err == nil { // else there are no tests in it
			suites = append(suites, suite{path.Base(name), dir, binary})
		}
	}
	return suites, nil
}

func (m matrix) goTool(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+m.scratch)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", args[0], err)
	}
	return nil
}

// run runs a suite on a kernel. Its log is a file, whose end is shown when no spec
// tells what failed.
func (m matrix) run(ctx context.Context, kernel string, s suite) cell {
	began := time.Now()
	dir := filepath.Join(m.reports, kernel, s.name)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return cell{lost: err.Error()}
	}
	log, err := os.Create(filepath.Join(dir, "log.txt"))
	if err != nil {
		return cell{lost: err.Error()}
	}
	defer log.Close()
	file := filepath.Join(dir, "report.json")
	cmd := exec.CommandContext(ctx, filepath.Join(m.scratch, "vmtest"), append([]string{
		"-kernel", kernel, fmt.Sprintf("-user=%t", m.user), "-sysctls=" + m.sysctls, s.binary, "-test.timeout=" + m.limit.String(), "-ginkgo.v", "-ginkgo.no-color",
		"-ginkgo.json-report=" + file, "-ginkgo.junit-report=" + filepath.Join(dir, "junit.xml"),
	}, m.arguments...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "NSTEST_ARTIFACTS="+dir, "NSTEST_STRICT="+strict())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return cell{lost: err.Error()}
	}
	c := cell{}
	if reports, err := report.Read(file); err != nil {
		c.lost = fmt.Sprintf("no report, status %d", cmd.ProcessState.ExitCode())
	} else {
		c = cell{Tally: report.Count(reports...), status: cmd.ProcessState.ExitCode()}
	}
	c.took, c.spent = time.Since(began), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
	if !c.ok() && len(c.Failures) == 0 {
		show(os.Stdout, log.Name())
	}
	return c
}

func strict() string {
	if value, set := os.LookupEnv("NSTEST_STRICT"); set {
		return value
	}
	return "1"
}

// logEnd is how much of a log is shown of a suite that failed beside its specs.
const logEnd = 4 << 10

// show prints the end of a log.
func show(w io.Writer, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	fmt.Fprintf(w, "\n== the end of %s ==\n%s\n", path, text[max(0, len(text)-logEnd):])
}
