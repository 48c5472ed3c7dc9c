package attached_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	"golang.org/x/sys/unix"
)

// A fixture is this binary again, in a process of its own, that attaches what a spec made:
// name=PID, separated by blanks.
const fixtureVar = "NSTEST_ATTACHED_FIXTURE"

// TestFixture watches rules in namespaces that it is given, says so, and waits to be
// killed. Without any there is nothing to do.
func TestFixture(t *testing.T) {
	given := strings.Fields(os.Getenv(fixtureVar))
	if len(given) == 0 {
		return
	}
	var existing []harness.Existing
	for _, one := range given {
		e := harness.Existing{Traced: true}
		if _, err := fmt.Sscanf(strings.Replace(one, "=", " ", 1), "%s %d", &e.Name, &e.PID); err != nil {
			t.Fatal(err)
		}
		existing = append(existing, e)
	}
	lab := harness.AttachLab(t, "given", existing...)
	result, err := probes.Watch(t.Context(), lab.Node("web"), site4, ssh)
	fmt.Printf("watched: %v, %v\n", result, err)
	<-t.Context().Done()
	select {}
}

var _ = Describe("tests that are killed while they trace somebody's rules", func() {
	It("leave no table there", func() {
		harness.Require(GinkgoTB(), harness.NftTool, owned)
		t := made()
		Expect(t.gw.Nft(noSSH)).To(Succeed())
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestFixture$", "-test.timeout=0")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=web=%d host=%d gw=%d", fixtureVar, t.web.Process.Pid, t.host.Process.Pid, t.gw.Process.Pid))
		out, err := cmd.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(cmd.Start()).To(Succeed())
		said, err := bufio.NewReader(out).ReadString('\n')
		Expect(err).NotTo(HaveOccurred())
		Expect(said).To(And(HavePrefix("watched: "), ContainSubstring("drop")), "a rule was traced")
		traced := ContainElement(HavePrefix("nstest-"))
		Expect(t.gw.tables()).To(traced)
		Expect(cmd.Process.Signal(unix.SIGKILL)).To(Succeed())
		_ = cmd.Wait()
		Eventually(t.gw.tables, "10s").ShouldNot(types.GomegaMatcher(traced))
	})
})
