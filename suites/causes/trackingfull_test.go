package causes_test

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// attribute is one of netlink's, padded; nested ones begin with their own.
func attribute(kind uint16, data ...[]byte) []byte {
	const header, align = 4, 4
	b := make([]byte, header)
	for _, d := range data {
		b = append(b, d...)
	}
	binary.NativeEndian.PutUint16(b, uint16(len(b)))
	binary.NativeEndian.PutUint16(b[2:], kind)
	return append(b, make([]byte, (align-len(b)%align)%align)...)
}

// entry is a message that makes an entry of connection tracking (linux/netfilter/nfnetlink_conntrack.h): a
// connection of UDP that both ends have spoken on, so that none goes to make room for another.
func entry(number uint32) []byte {
	const nested, newEntry, header = unix.NLA_F_NESTED, unix.NFNL_SUBSYS_CTNETLINK << 8, 16
	const orig, reply, status, timeout, addrs, upper = 1, 2, 3, 7, 1, 2 // CTA_, CTA_TUPLE_
	const seen, assured, confirmed, hour = 1 << 1, 1 << 2, 1 << 3, 3600 // IPS_
	from, to := binary.BigEndian.AppendUint32(nil, 10<<24|number>>15), []byte{203, 0, 113, 1}
	port, service := binary.BigEndian.AppendUint16(nil, uint16(number&0x7fff)+1), []byte{0, 53}
	tuple := func(kind uint16, from, to, sport, dport []byte) []byte {
		return attribute(kind|nested,
			attribute(addrs|nested, attribute(1, from), attribute(2, to)),
			attribute(upper|nested, attribute(1, []byte{unix.IPPROTO_UDP}), attribute(2, sport), attribute(3, dport)))
	}
	body := []byte{unix.AF_INET, 0, 0, 0} // struct nfgenmsg
	for _, part := range [][]byte{
		tuple(orig, from, to, port, service), tuple(reply, to, from, service, port),
		attribute(status, binary.BigEndian.AppendUint32(nil, seen|assured|confirmed)),
		attribute(timeout, binary.BigEndian.AppendUint32(nil, hour)),
	} {
		body = append(body, part...)
	}
	message := make([]byte, header, header+len(body))
	binary.NativeEndian.PutUint32(message, uint32(header+len(body)))
	binary.NativeEndian.PutUint16(message[4:], newEntry)
	binary.NativeEndian.PutUint16(message[6:], unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	return append(message, body...)
}

// fillTracking fills a node's table of connections. No namespace of its own may say how many there may be, so it is
// as many as the kernel lets any have.
func fillTracking(ctx SpecContext, node *harness.Node) {
	GinkgoHelper()
	var fd int
	Expect(node.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		return err
	})).To(Succeed())
	defer unix.Close(fd)
	const batch, header = 100, 16
	answer := make([]byte, 1<<16)
	for number := uint32(0); ctx.Err() == nil; number += batch {
		var messages []byte
		for i := range uint32(batch) {
			messages = append(messages, entry(number+i)...)
		}
		Expect(unix.Sendto(fd, messages, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})).To(Succeed())
		n, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT) // of what was made nothing is said
		switch {
		case errors.Is(err, unix.EAGAIN):
		case errors.Is(err, unix.ENOBUFS):
			return // all of a batch was refused
		default:
			Expect(err).NotTo(HaveOccurred())
			Expect(n).To(BeNumerically(">=", header+4))
			Expect(unix.Errno(-int32(binary.NativeEndian.Uint32(answer[header:])))).To(Equal(unix.ENOMEM), "what no more is made for")
			return
		}
	}
	Expect(ctx.Err()).NotTo(HaveOccurred())
}

var _ = Describe("connection tracking whose table is full", func() {
	It("is named with how full it is, and isolates nobody", func(ctx SpecContext) {
		o := ruled(atFw, forwarding(`ct state new counter accept`))
		judge := echo(ctx, o.server, netip.AddrPortFrom(netip.IPv4Unspecified(), 7))
		fillTracking(ctx, o.fw)
		before := trackingCount(o.fw, "drop")
		most, err := o.fw.Sysctl("net.netfilter.nf_conntrack_max")
		Expect(err).NotTo(HaveOccurred())
		for _, r := range watch(ctx, o.client, server4, icmp.Within(silence), dns.Within(silence), probes.UDP(7).Within(silence)) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Conntrack), HaveField("Node", "fw"), HaveField("Policy", false))), "%s", causeOf(r))
			Expect(r.Cause.Detail).To(And(
				HavePrefix("connection tracking cannot take it: its table is full: it has "), HaveSuffix(" connections (net.netfilter.nf_conntrack_max="+most+")")))
			Expect(r).To(probes.BeIsolatedFrom(server4).At("fw").Because(evidence.Conntrack))
			noVerdict(probes.BeIsolatedFrom(server4), r, "no policy isolates here", `Because("conntrack")`)
		}
		Expect(trackingCount(o.fw, "drop")).To(BeNumerically(">", before), "the judge: the kernel's own count")
		Expect(judge.came()).To(BeZero(), "the judge: a plain socket")

		By("making room, as the control")
		Expect(o.fw.Netlink().ConntrackTableFlush(netlink.ConntrackTable)).To(Succeed())
		o.reaches(ctx, all...)
	})
})
