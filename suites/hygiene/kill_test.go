package hygiene_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

const (
	kills   = 26 // with either privilege
	abreast = 2  // runs at once
	seedVar = "NSTEST_HYGIENE_SEED"
)

var _ = Describe("tests that are killed at a random moment", func() {
	var before []string

	BeforeEach(func() {
		var err error
		before, err = machine()
		Expect(err).NotTo(HaveOccurred())
	})
	AfterEach(func() { unchanged(before, machine) })

	// The namespaces themselves: a namespace lives while a process is in it or
	// holds it, or while a mount does. No process is left and no mount is new.
	It("leave nothing behind, "+string(asIs), func() {
		chance := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1))
		surrounded, err := surroundings()
		Expect(err).NotTo(HaveOccurred())
		report := killAtRandom(asIs, chance, func() { unchanged(surrounded, surroundings) })
		AddReportEntry("killed", fmt.Sprintf("seed %d, %s", GinkgoRandomSeed(), report))
	})

	// Here the kernel's own count is asked as well. It keeps one for every user
	// namespace, and no file shows it; a limit does.
	It("leave nothing behind, "+string(sandboxed), func() {
		keeper := startKeeper("killed in the sandbox", fmt.Sprint(seedVar, "=", GinkgoRandomSeed()))
		Expect(keeper.status()).To(BeZero(), "%s", &keeper.out)
		keeper.leavesNothing()
		_, report, _ := strings.Cut(keeper.out.String(), "killed: ")
		report, _, _ = strings.Cut(report, "\n")
		AddReportEntry("killed", fmt.Sprintf("seed %d, %s", GinkgoRandomSeed(), report))
	})
})

var _ = Describe("the search for what is left", func() {
	It("finds a process that got away, and a file", func() {
		r := start("leaky", asIs)
		DeferCleanup(func() {
			r.release()
			left, _ := marked(r.mark)
			for _, p := range left {
				_ = unix.Kill(p.Pid, unix.SIGKILL)
			}
			_ = os.RemoveAll(r.dir)
		})
		Expect(r.status()).To(BeZero(), "%s", &r.out)
		var left []process
		Eventually(func() ([]process, error) {
			var err error
			left, err = marked(r.mark)
			return left, err
		}, patience).Should(ConsistOf(HaveField("Command", "sleep 1000")))
		Expect(alive(left)).To(HaveLen(1))
		files, err := os.ReadDir(r.dir)
		Expect(err).NotTo(HaveOccurred())
		Expect(files).To(HaveLen(1))

		By("ending it")
		Expect(unix.Kill(left[0].Pid, unix.SIGKILL)).To(Succeed())
		Eventually(func() []process { return alive(left) }, patience).Should(BeEmpty())
	})

	It("finds a namespace that is left, by the kernel's count", func() {
		keeper := startKeeper("one namespace")
		Expect(keeper.status()).To(BeZero(), "%s", &keeper.out)
		keeper.leavesNothing()
	})
})

func init() {
	fixtures["killed in the sandbox"] = func(t *testing.T) {
		seed, err := strconv.ParseUint(os.Getenv(seedVar), 10, 64)
		Expect(err).NotTo(HaveOccurred())
		report := killAtRandom(sandboxed, rand.New(rand.NewPCG(seed, 2)), func() {
			limitNamespaces(1)
			Eventually(oneMore, patience, "2ms").Should(Succeed(), "a namespace is left")
			limitNamespaces(1000)
		})
		fmt.Println("\nkilled:", report)
	}
	fixtures["one namespace"] = func(t *testing.T) {
		limitNamespaces(1)
		leave, err := newNamespace()
		Expect(err).NotTo(HaveOccurred())
		Consistently(oneMore, "50ms").Should(MatchError(unix.ENOSPC))
		leave()
		Eventually(oneMore, patience).Should(Succeed())
	}
	fixtures["leaky"] = func(t *testing.T) {
		Expect(exec.Command("sh", "-c", `setsid sh -c 'sleep 1000 &' >/dev/null 2>&1 </dev/null`).Run()).To(Succeed())
		Expect(os.WriteFile(os.TempDir()+"/file", nil, 0o600)).To(Succeed())
	}
}

// unchanged holds when a list is again what it was. It may take a moment, also
// because of what other programs do meanwhile.
func unchanged(before []string, now func() ([]string, error)) {
	GinkgoHelper()
	Eventually(func() ([]string, error) {
		after, err := now()
		return changes(before, after), err
	}, patience).Should(BeEmpty())
}

// killAtRandom starts runs and kills each at a moment that chance picks, within
// the time that a whole run takes. Then nothing of them is to be left; gone looks
// for more than processes and files. It returns where the runs were.
func killAtRandom(p privilege, chance *rand.Rand, gone func()) string {
	length, where := runLength(p), map[string]int{}
	for done := 0; done < kills; done += abreast {
		var runs []*run
		known := make([][]process, abreast)
		var killing sync.WaitGroup
		for i := range abreast {
			r, delay := start("labs", p), time.Duration(chance.Int64N(int64(length)))
			runs = append(runs, r)
			// One in five may be killed before it has begun its first lab.
			early := (done+i)%5 == 0
			killing.Go(func() { known[i] = r.killAfter(delay, early) })
		}
		killing.Wait()
		for i, r := range runs {
			Expect(r.status()).To(Equal(-1), "%s", &r.out)
			where[r.lastProgress()]++
			r.leavesNothing(known[i]...)
		}
		gone()
	}
	var places []string
	for place, n := range where {
		places = append(places, fmt.Sprintf("%s %d", place, n))
	}
	slices.Sort(places)
	return fmt.Sprintf("within %s, at: %s", length.Round(time.Millisecond), strings.Join(places, ", "))
}

// runLength is how long runs take that nobody kills. They are the control: they
// come to their end and leave nothing.
func runLength(p privilege) (length time.Duration) {
	var runs []*run
	for range abreast {
		r := start("labs", p)
		r.release()
		runs = append(runs, r)
	}
	for _, r := range runs {
		Expect(r.status()).To(BeZero(), "%s", &r.out)
		Expect(r.lastProgress()).To(Equal("the end"))
		r.leavesNothing()
		length += r.took / abreast
	}
	return length
}

// killAfter kills a run after the delay, from its start or from its first word
// on. It returns the processes that the run had.
func (r *run) killAfter(delay time.Duration, early bool) []process {
	if !early {
		select {
		case <-r.out.began:
		case <-time.After(patience):
		}
	}
	<-time.After(delay)
	known, _ := descendants(r.Process.Pid)
	_ = r.Process.Kill()
	return known
}

// startKeeper starts a fixture in a user namespace that stays while the fixture
// does, and has a count and a limit of its own.
func startKeeper(name string, env ...string) *run {
	return startWith(func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, env...)
		cmd.SysProcAttr = inUserNamespace()
	}, name, asIs)
}

func limitNamespaces(n int) {
	Expect(os.WriteFile("/proc/sys/user/max_net_namespaces", fmt.Append(nil, n), 0)).To(Succeed())
}

// newNamespace makes a network namespace, which a process holds that only waits.
func newNamespace() (leave func(), err error) {
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	return func() { _ = errors.Join(stdin.Close(), cmd.Wait()) }, err
}

// oneMore makes a namespace and lets it go again.
func oneMore() error {
	leave, err := newNamespace()
	if err == nil {
		leave()
	}
	return err
}
