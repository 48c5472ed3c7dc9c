package hygiene_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// layered runs a command over an overlay of the machine's files: whatever it writes is in
// a layer of its own, and is listed at the end. $0 is a directory for it.
const layered = `set -eu
mount --make-rprivate /
mount -t tmpfs layer "$0"
mkdir "$0"/upper "$0"/work "$0"/root
mount -t overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" overlay "$0"/root
for dir in proc sys dev; do mount --rbind /$dir "$0"/root/$dir; done
status=0
chroot "$0"/root "$@" || status=$?
cd "$0"/upper
find . -mindepth 1 -print | while read -r file; do
	if [ ! -d "$file" ] || [ ! -d "/$file" ]; then echo "written: ${file#.}"; fi
done
exit $status`

var _ = Describe("the machine's files", func() {
	var written func(fixture string) []string

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.Root, harness.Overlay)
		written = func(fixture string) (files []string) {
			layer := GinkgoT().TempDir()
			self, err := os.Readlink("/proc/self/exe")
			Expect(err).NotTo(HaveOccurred())
			r := startWith(func(cmd *exec.Cmd) {
				cmd.Args = append([]string{"sh", "-c", layered, layer, self}, cmd.Args[1:]...)
				cmd.Path, err = exec.LookPath("sh")
				Expect(err).NotTo(HaveOccurred())
				cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
			}, fixture, asIs)
			defer r.leavesNothing()
			Eventually(r.lastProgress, patience).Should(Equal("all is up"), "%s", &r.out)
			r.release()
			r.status()
			for line := range strings.Lines(r.out.String()) {
				// A failed test's bundle is meant to stay.
				if file, is := strings.CutPrefix(strings.TrimSpace(line), "written: "); is && file != r.kept && !strings.HasPrefix(file, r.kept+"/") {
					files = append(files, file)
				}
			}
			return files
		}
	})

	It("are what they were, whatever a run does", func() {
		Expect(written("everything and a bundle")).To(BeEmpty())
	})

	It("are watched: a file that is written or deleted is found, and a directory", func() {
		Expect(written("careless files")).To(ConsistOf("/etc/mine", "/var/mine", "/etc/group"))
	})
})

func init() {
	fixtures["everything and a bundle"] = func(t *testing.T) {
		lab := everything(t)
		tools(lab)
		server := lab.Node("server")
		Expect(server.Command("sh", "-c", "echo >/etc/mine; rm /etc/passwd; mkdir -p /var/lib/mine /run/mine /root/mine; echo >/dev/shm/mine").Run()).To(Succeed())
		_, err := probes.Watch(t.Context(), lab.Node("client"), server, probes.TCP(22))
		Expect(err).NotTo(HaveOccurred())
		progress("all is up")
		<-waitForRelease()
		t.Error("failed on purpose")
	}
	// /etc/group is on every machine, in a guest of vmtest as well.
	fixtures["careless files"] = func(*testing.T) {
		var root unix.Statfs_t
		Expect(unix.Statfs("/", &root)).To(Succeed())
		Expect(root.Type).To(BeEquivalentTo(unix.OVERLAYFS_SUPER_MAGIC), "these are the machine's own files")
		Expect(os.WriteFile("/etc/mine", nil, 0o600)).To(Succeed())
		Expect(os.Mkdir("/var/mine", 0o700)).To(Succeed())
		Expect(os.Remove("/etc/group")).To(Succeed())
		progress("all is up")
		<-waitForRelease()
	}
}
