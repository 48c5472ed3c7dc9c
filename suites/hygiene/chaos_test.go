package hygiene_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// chaosVar is how many runs are killed; `make chaos N=1000` sets it.
const chaosVar = "NSTEST_CHAOS_N"

// way is one of running tests.
type way struct {
	fixture string
	// command is what runs the fixture; nil is this binary by itself.
	command func() []string
	// slow is how many times as long as a plain run it goes on; 0 is once.
	slow int
	// privileges are those that it is tried with; nil is both.
	privileges []privilege
	needs      []harness.Feature
}

// ways are those that runs are killed in.
var ways = map[string]way{
	"a plain run":      {fixture: "labs"},
	"under go test":    {fixture: "labs", command: underGoTest, needs: []harness.Feature{harness.Tool("go")}},
	"under ginkgo -p":  {fixture: "suite of labs", command: underGinkgo, slow: 8, needs: []harness.Feature{harness.Tool("go")}},
	"with programs":    {fixture: "labs with programs", slow: 2},
	"writing a bundle": {fixture: "labs that fail", slow: 4},
	// A sandbox may not enter them; and a table is to go with the process.
	"in others' namespaces": {fixture: "attached labs", privileges: []privilege{asIs}, needs: []harness.Feature{harness.Kernel(5, 12)}},
}

var _ = Describe("the chaos of SIGKILLs", func() {
	var all []kill
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		for _, p := range []privilege{asIs, sandboxed} {
			if w := ways[name]; w.privileges == nil || slices.Contains(w.privileges, p) {
				all = append(all, kill{way: w, name: name, privilege: p})
			}
		}
	}
	for i, k := range all {
		It(fmt.Sprintf("leaves nothing behind %s, %s, whichever process it hits, and when", k.name, k.privilege), func() {
			harness.Require(GinkgoTB(), k.needs...)
			n := share(len(all), i)
			lab := harness.Up(GinkgoTB(), office("given"))
			before, err := machine()
			Expect(err).NotTo(HaveOccurred())
			there := tables(lab)
			k.lab, k.chance = lab, rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), uint64(3+i)))
			length, hit := runLength(asIs), map[string]int{}
			for range n {
				k.delay = time.Duration(k.chance.Int64N(int64(max(1, k.slow)) * int64(length)))
				hit[k.dies()]++
				unchanged(before, machine)
				Eventually(func() map[string]string { return tables(lab) }, patience).Should(Equal(there), "of the nodes that a run was given")
			}
			var report []string
			for _, what := range slices.Sorted(maps.Keys(hit)) {
				report = append(report, fmt.Sprintf("%s %d", what, hit[what]))
			}
			AddReportEntry("killed", fmt.Sprintf("seed %d, within %s or a multiple: %s", GinkgoRandomSeed(), length.Round(time.Millisecond), strings.Join(report, ", ")))
		})
	}
})

// share is how many runs a spec kills, of so many specs that share them.
func share(specs, i int) int {
	GinkgoHelper()
	n := 30
	if text := os.Getenv(chaosVar); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		Expect(err).NotTo(HaveOccurred(), chaosVar)
	}
	return (n + i) / specs
}

// tables are the names of the tables that a lab's nodes have.
func tables(lab *harness.Lab) map[string]string {
	all := map[string]string{}
	for _, node := range lab.Nodes() {
		out, err := node.Command("nft", "list", "tables").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		all[node.Name()] = string(out)
	}
	return all
}

// kill is a run that is to die.
type kill struct {
	way
	name      string // of the way
	privilege privilege
	lab       *harness.Lab // is there for it to attach
	delay     time.Duration
	chance    *rand.Rand
}

// dies starts the run, and kills some of its processes after the delay: the first, any, or
// all at once. Then the rest has to end when it is let to, and nothing is left. It says
// where the run was, and who was hit.
func (k kill) dies() string {
	tools := GinkgoT().TempDir() // what programs that run tests leave when they are killed
	r := startWith(func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
		cmd.Env = append(cmd.Env, "GOTMPDIR="+tools, progressVar+"="+filepath.Join(tools, "progress"))
		for _, node := range k.lab.Nodes() {
			cmd.Env = append(cmd.Env, givenVar+node.Name()+"="+node.Path())
		}
		if k.command != nil {
			cmd.Args = k.command()
			path, err := exec.LookPath(cmd.Args[0])
			Expect(err).NotTo(HaveOccurred())
			cmd.Path = path
		}
	}, k.fixture, k.privilege)
	select {
	case <-r.out.began:
	case <-time.After(patience):
	}
	<-time.After(k.delay)
	known, _ := descendants(r.Process.Pid)
	who := []string{"the first", "any", "all"}[k.chance.IntN(3)]
	switch who {
	case "the first":
		_ = r.Process.Kill()
	case "any":
		if len(known) > 0 {
			_ = unix.Kill(known[k.chance.IntN(len(known))].Pid, unix.SIGKILL)
		}
	case "all":
		for _, p := range known {
			_ = unix.Kill(p.Pid, unix.SIGKILL)
		}
	}
	r.release()
	r.status()
	where, err := os.ReadFile(filepath.Join(tools, "progress"))
	if err != nil {
		where = []byte("starting")
	}
	r.leavesNothing(known...)
	return string(where) + ", hit " + who
}

// underGoTest has go test build and run this package.
func underGoTest() []string {
	return []string{"go", "test", "-count=1", "-run=^TestFixture$", "-v", "."}
}

// underGinkgo has Ginkgo run this binary, in two processes.
func underGinkgo() []string {
	self, err := os.Readlink("/proc/self/exe")
	Expect(err).NotTo(HaveOccurred())
	binary := filepath.Join(GinkgoT().TempDir(), "hygiene.test")
	Expect(os.Symlink(self, binary)).To(Succeed())
	return []string{"go", "run", "github.com/onsi/ginkgo/v2/ginkgo", "--procs=2", "--no-color", "--output-interceptor-mode=none", "--label-filter=" + fixtureLabel, binary, "--", "-test.run=^TestFixture$"}
}

// givenVar begins the variable that has the path of a node's namespace.
const givenVar = "NSTEST_HYGIENE_GIVEN_"

func init() {
	fixtures["labs with programs"] = laps(func(t *testing.T) {
		lab := everything(t)
		progress("tools")
		tools(lab)
		progress("program")
		server := lab.Node("server")
		harness.Start(t, server.Command("sh", "-c", "mkdir -p /run/mine; touch /var/tmp/mine /etc/mine; touch /run/mine/ready; sleep 1000"),
			harness.Exists("/run/mine/ready"))
		progress("down")
	})
	fixtures["labs that fail"] = laps(func(t *testing.T) {
		lab := everything(t)
		tools(lab)
		progress("bundle")
		t.Error("failed on purpose")
	})
	fixtures["attached labs"] = laps(func(t *testing.T) {
		progress("attach")
		var given []harness.Existing
		for _, text := range os.Environ() {
			if name, path, ok := strings.Cut(strings.TrimPrefix(text, givenVar), "="); ok && strings.HasPrefix(text, givenVar) {
				given = append(given, harness.Existing{Name: name, Path: path, Traced: true})
			}
		}
		lab := harness.AttachLab(t, "attached", given...)
		progress("watch")
		_, err := probes.Watch(t.Context(), lab.Node("client"), lab.Node("server"), probes.ICMP())
		Expect(err).NotTo(HaveOccurred())
		progress("down")
	})
	fixtures["suite of labs"] = func(t *testing.T) {
		RegisterFailHandler(Fail)
		Describe("a suite", Label(fixtureLabel), func() {
			for i := range 12 { // Ginkgo's processes have no input that could let them go on
				It(fmt.Sprint("has a spec ", i), func() { everything(GinkgoTB()) })
			}
		})
		RunSpecs(t, "Fixture")
	}
}
