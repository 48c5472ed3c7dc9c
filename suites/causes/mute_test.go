package causes_test

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// mute reads what comes to a node's UDP port, as far as a filter lets it, and says nothing,
// as a log does.
func mute(ctx SpecContext, node *harness.Node, port uint16, filter ...unix.SockFilter) *plain {
	GinkgoHelper()
	p := &plain{}
	conn, err := node.ListenPacket(ctx, "udp", netip.AddrPortFrom(netip.Addr{}, port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	if len(filter) > 0 {
		raw, err := conn.(syscall.Conn).SyscallConn()
		Expect(err).NotTo(HaveOccurred())
		Expect(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
		})).To(Succeed())
		Expect(err).NotTo(HaveOccurred())
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			p.note(from.String())
		}
	}()
	return p
}

var _ = Describe("a service that says nothing", func() {
	log := probes.UDP(514) // an emulated machine takes its time to ask once more

	It("has got what it was sent: it is not isolated", func(ctx SpecContext) {
		f := unserved("")
		judge := mute(ctx, f.server, 514)
		for _, r := range watch(ctx, f.client, f.server, log) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.NoAnswer), HaveField("Node", "server"), HaveField("Leg", evidence.Request), HaveField("Policy", false))), "%s", r)
			Expect(r.Cause.String()).To(Equal("the request was delivered at server/dmz: udp/514 has a listener there, and nothing came back"))
		}
		Expect(judge.came()).To(BeNumerically(">", 0))
		Expect(probes.BeIsolatedFrom(f.server, log).WithContext(ctx).Match(f.client)).To(BeFalse())
		noVerdict(probes.BeUnansweredBy(f.server, log).WithContext(ctx), f.client, "no policy isolates here")
	})

	It("has got what it has not read yet, as on a busy machine", func(ctx SpecContext) {
		f := unserved("")
		conn, err := f.server.ListenPacket(ctx, "udp", netip.AddrPortFrom(netip.Addr{}, 514))
		Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		for _, r := range watch(ctx, f.client, f.server, log.Within(silence)) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.NoAnswer), HaveField("Node", "server"))), "%s", r)
		}
		Expect(probes.BeIsolatedFrom(f.server, log.Within(silence)).WithContext(ctx).Match(f.client)).To(BeFalse())

		By("reading it at last, as the judge")
		for range 4 { // of both families, of both
			Expect(conn.SetReadDeadline(time.Now().Add(soon))).To(Succeed())
			n, _, err := conn.ReadFrom(make([]byte, 2048))
			Expect(err).NotTo(HaveOccurred())
			Expect(n).To(BeNumerically(">", 0))
		}
	})

	It("has not got what its socket's filter drops, and it is no isolation", func(ctx SpecContext) {
		f := unserved("")
		judge := mute(ctx, f.server, 514, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K})
		noVerdict(probes.BeIsolatedFrom(f.server, log).WithContext(ctx), f.client, "was not taken at server", "no policy isolates here")
		Expect(judge.came()).To(BeZero())
	})
})
