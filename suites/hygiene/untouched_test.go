package hygiene_test

import (
	"os"
	"os/exec"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("the machine", func() {
	DescribeTable("is what it was, while a lab is up and afterwards, for tests", func(p privilege) {
		before, err := machine()
		Expect(err).NotTo(HaveOccurred())
		r := start("everything", p)
		Eventually(r.lastProgress, patience).Should(Equal("all is up"), "%s", &r.out)
		Expect(marked(r.mark)).NotTo(BeEmpty())
		unchanged(before, machine)

		r.release()
		Expect(r.status()).To(BeZero(), "%s", &r.out)
		r.leavesNothing()
		unchanged(before, machine)
	},
		Entry(string(asIs), asIs),
		Entry(string(sandboxed), sandboxed),
	)

	// On many machines every mount is shared: what is mounted in one mount
	// namespace appears in the others, unless the one keeps it to itself.
	It("sees no mount of a lab's commands, although it shares its mounts", func() {
		r := startWith(func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		}, "shared mounts", asIs)
		Expect(r.status()).To(BeZero(), "%s", &r.out)
		r.leavesNothing()
	})
})

func init() {
	fixtures["everything"] = func(t *testing.T) {
		lab := everything(t)
		tools(lab)
		progress("all is up")
		<-waitForRelease()
		lab.Down()
	}
	// In a mount namespace of its own, whose /run nobody else uses, and then in one
	// that shares with that.
	fixtures["shared mounts"] = func(t *testing.T) {
		Expect(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")).To(Succeed())
		Expect(unix.Mount("tmpfs", "/run", "tmpfs", 0, "")).To(Succeed())
		Expect(unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")).To(Succeed())
		before, err := seen()
		Expect(err).NotTo(HaveOccurred())
		changed := func() ([]string, error) {
			after, err := seen()
			return changes(before, after), err
		}
		lab := everything(t)
		tools(lab)
		Expect(changed()).To(BeEmpty())
		lab.Down()
		Expect(changed()).To(BeEmpty())

		// The control: what does not keep its mounts to itself is seen.
		r := startWith(func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		}, "careless mounts", asIs)
		Expect(r.status()).To(BeZero(), "%s", &r.out)
		r.leavesNothing()
		Expect(changed()).To(ConsistOf(
			And(HavePrefix("+ mount "), ContainSubstring(" /run/netns/mine "), ContainSubstring(" nsfs ")),
			Equal("+ file /run/netns"), Equal("+ file /run/netns/mine"), Equal("+ file /run/xtables.lock"),
		))
	}
	fixtures["careless mounts"] = func(t *testing.T) {
		Expect(os.Mkdir("/run/netns", 0o755)).To(Succeed())
		for _, name := range []string{"/run/netns/mine", "/run/xtables.lock"} {
			Expect(os.WriteFile(name, nil, 0o644)).To(Succeed())
		}
		Expect(unix.Mount("/proc/self/ns/net", "/run/netns/mine", "", unix.MS_BIND, "")).To(Succeed())
	}
}

// seen is also what is in /run: iptables-legacy has a lock there, mount(8) a
// directory.
func seen() ([]string, error) {
	lines, err := surroundings()
	if err != nil {
		return nil, err
	}
	names, err := files("/run")
	return append(lines, names...), err
}
