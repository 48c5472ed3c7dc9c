package machines_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a node is a small machine", func() {
	var client, server *harness.Node

	BeforeEach(func() { client, server = pair() })

	It("has processes of its own", func() {
		harness.Require(GinkgoTB(), harness.OwnProc)
		Expect(client.Command("sleep", "1234").Start()).To(Succeed())
		const list = `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline; echo; done`
		Expect(strings.Split(strings.TrimSpace(sh(client, list)), "\n")).To(ContainElement(HaveSuffix("sleep 1234 ")))
		Expect(sh(server, list)).NotTo(ContainSubstring("sleep"))
		Expect(strings.TrimSpace(sh(server, `echo $$`))).To(HaveLen(1), "one of the node's first processes")
		Expect(sh(server, `cat /proc/1/cmdline`)).To(ContainSubstring("nstest-init pair/server"))
		Expect(sh(client, `readlink /proc/self/ns/net`)).To(Equal(fmt.Sprintf("net:[%d]\n", client.Inode())))
	})

	It("buries its orphans", func() {
		harness.Require(GinkgoTB(), harness.OwnProc)
		sh(client, `for i in 1 2 3 4 5 6 7 8; do setsid sh -c 'true & true &' & done; wait`)
		Eventually(func() string {
			return sh(client, `for p in /proc/[0-9]*; do cat $p/stat 2>/dev/null || :; done`)
		}, 10*time.Second).ShouldNot(ContainSubstring(") Z "))
	})

	It("has a name", func() {
		Expect(sh(client, `uname -n; cat /etc/hostname`)).To(Equal("client\nclient\n"))
		Expect(sh(server, `uname -n`)).To(Equal("server\n"))
		name, err := os.Hostname()
		Expect(err).NotTo(HaveOccurred())
		Expect(name).NotTo(Or(Equal("client"), Equal("server")), "the machine's")
	})

	It("has message queues and shared memory of its own", func() {
		for _, kind := range []string{"ipc", "uts", "pid", "mnt"} {
			own, err := os.Readlink("/proc/self/ns/" + kind)
			Expect(err).NotTo(HaveOccurred())
			there := sh(client, "readlink /proc/self/ns/"+kind)
			Expect(there).NotTo(Or(ContainSubstring(own), Equal(sh(server, "readlink /proc/self/ns/"+kind))), kind)
		}
	})

	// Where the machine lacks a directory, so does a node.
	It("writes where the machine reads, and neither the machine nor another node has it", func() {
		mark := fmt.Sprintf("nstest-%d", time.Now().UnixNano())
		var files []string
		for _, dir := range []string{"/etc", "/var/lib", "/var/log", "/run", "/run/lock", "/root", "/dev/shm"} {
			if _, err := os.Stat(dir); err == nil {
				files = append(files, filepath.Join(dir, mark))
			}
		}
		all := strings.Join(files, " ")
		sh(client, "for file in "+all+"; do echo mine >$file; done; mkdir /var/lib/"+mark+".d /run/"+mark+".d")
		Expect(sh(client, "cat "+all)).To(Equal(strings.Repeat("mine\n", len(files))), "the node's next command")
		Expect(sh(server, "ls -d "+all+" 2>/dev/null || :")).To(BeEmpty(), "the other node")
		for _, file := range files {
			_, err := os.Stat(file)
			Expect(err).To(HaveOccurred(), "the machine") // an ordinary user may not look into /root
		}
	})

	It("changes the machine's files for itself alone", func() {
		before, err := os.ReadFile("/etc/passwd")
		if os.IsNotExist(err) {
			Skip("this machine has no /etc/passwd")
		}
		Expect(err).NotTo(HaveOccurred())
		Expect(sh(client, `cat /etc/passwd`)).To(Equal(string(before)))
		sh(client, `echo daemon2:x:4711:4711::/:/bin/false >>/etc/passwd; rm -f /etc/hosts; mv /etc/passwd /etc/moved; cp /etc/moved /etc/passwd`)
		Expect(sh(client, `cat /etc/passwd`)).To(Equal(string(before) + "daemon2:x:4711:4711::/:/bin/false\n"))
		Expect(os.ReadFile("/etc/passwd")).To(Equal(before))
		Expect(sh(server, `cat /etc/passwd`)).To(Equal(string(before)))
	})

	It("is out of reach of the machine's sockets", func() {
		Expect(sh(client, `find /run /var/run/ -type s`)).To(BeEmpty())
		Expect(strings.Fields(sh(client, `ls -A /run`))).To(ConsistOf("lock", "netns", "shm", "sshd", "user", "utmp"))
	})

	It("has the lab's namespaces at /run/netns", func() {
		inode := func(node *harness.Node) string { return fmt.Sprintf("%d\n", node.Inode()) }
		for _, node := range []*harness.Node{client, server} {
			Expect(sh(node, `stat -Lc %i /run/netns/client /run/netns/server`)).To(Equal(inode(client) + inode(server)))
		}
	})

	It("shares the test's own folder", func() {
		dir := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(dir, "in"), []byte("from the test"), 0o644)).To(Succeed())
		sh(client, "cp "+dir+"/in "+dir+"/out")
		Expect(os.ReadFile(filepath.Join(dir, "out"))).To(BeEquivalentTo("from the test"))
		here, err := os.Getwd()
		Expect(err).NotTo(HaveOccurred())
		Expect(sh(client, "pwd; ls suite_test.go")).To(Equal(here + "\nsuite_test.go\n"))
	})
})
