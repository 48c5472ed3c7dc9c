package namespaces_test

import (
	"os"
	"os/exec"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

const ownMountsVar = "NSTEST_NAMESPACES_OWN_MOUNTS"

// inOwnMounts runs the body of the present spec in a process whose mounts nobody
// else sees: this binary again, which comes to the same spec.
func inOwnMounts(body func()) {
	GinkgoHelper()
	if os.Getenv(ownMountsVar) != "" {
		Expect(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")).To(Succeed())
		body()
		return
	}
	focus := regexp.QuoteMeta(CurrentSpecReport().FullText()) + "$"
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestSuite$", "-ginkgo.no-color", "-ginkgo.focus="+focus)
	// The race detector waits a second at its end unless told.
	cmd.Env = append(os.Environ(), ownMountsVar+"=1", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	Expect(string(out)).To(ContainSubstring("1 Passed"))
}
