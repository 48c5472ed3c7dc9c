package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	"golang.org/x/sys/unix"
)

// many is how many rules a large ruleset has.
const many = 5500

// linear is a ruleset of that many rules, one after the other; of some of them the verdict is another where other is set.
func linear(other bool) string {
	var b strings.Builder
	b.WriteString("table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy drop;\n")
	for i := range many {
		verdict := []string{"accept", "drop"}[i%2]
		if other && i%1000 == 10 {
			verdict = "reject"
		}
		fmt.Fprintf(&b, "\t\tip saddr 10.0.1.0/24 ip daddr 10.0.2.%d tcp dport %d %s\n", i%200+12, 1000+i, verdict)
	}
	return b.String() + "\t}\n}\n"
}

// BenchmarkCover5500 tries 5,500 rules: at most 10 s. The floor is as many packets, sent by hand through the same rules, and their
// trace read and not looked at.
func BenchmarkCover5500(b *testing.B) {
	harness.Require(b, harness.NftTool)
	lab := harness.Up(b, sides(linear(false)))
	floor := floorOf(b, harness.Up(b, sides(linear(false))))
	packets, took := 0, time.Duration(0)
	for b.Loop() {
		report := timedCover(b, lab, &took)
		if n := len(report.Of(policy.Decided, policy.Redundant)); n != many+1 {
			b.Fatalf("%d of %d rules and policies were decided", n, many+1)
		}
		packets += report.Packets
	}
	b.ReportMetric(float64(packets)/took.Seconds(), "packets/s")
	b.ReportMetric(float64(many)/floor.Seconds(), "floor-packets/s")
	b.ReportMetric(took.Seconds()/float64(b.N)/floor.Seconds(), "x-floor")
}

// timedCover covers fw, and adds how long that took.
func timedCover(b *testing.B, lab *harness.Lab, took *time.Duration) policy.Report {
	began := time.Now()
	report, err := policy.Cover(b.Context(), lab, "fw")
	*took += time.Since(began)
	if err != nil {
		b.Fatal(err)
	}
	return report
}

// BenchmarkCompare5500 compares two such, which differ in six rules: at most 20 s. The floor is that of Cover, twice.
func BenchmarkCompare5500(b *testing.B) {
	harness.Require(b, harness.NftTool)
	lab := harness.Up(b, sides(""))
	floor := 2 * floorOf(b, harness.Up(b, sides(linear(false))))
	took := time.Duration(0)
	for b.Loop() {
		began := time.Now()
		d, err := policy.CompareRules(b.Context(), lab, "fw", linear(false), linear(true))
		took += time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		if differ := 6; len(d.Changes) != differ || len(d.Notes) > 0 {
			b.Fatal(d)
		}
	}
	b.ReportMetric(took.Seconds()/float64(b.N)/floor.Seconds(), "x-floor")
}

// floorOf is how long it takes to send a packet for each rule of a lab's firewall by hand, and to read the trace.
func floorOf(b *testing.B, lab *harness.Lab) time.Duration {
	b.Helper()
	fw := lab.Node("fw")
	var fd int
	err := fw.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		const room = 64 << 20
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room)
		}
		if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
			return err
		}
		if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		return unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_NFTRACE)
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Close(fd) })
	if err := fw.Nftables(traceAll); err != nil {
		b.Fatal(err)
	}
	upper := make([]byte, 20)
	upper[12], upper[13] = 5<<4, 2
	var packets [][]byte
	for i := range many {
		upper[2], upper[3] = byte((1000+i)>>8), byte(1000+i)
		packets = append(packets, header(spaceAddr(false, 1, "10"), spaceAddr(false, 2, fmt.Sprint(i%200+12)), unix.IPPROTO_TCP, append([]byte(nil), upper...)))
	}
	began, buf := time.Now(), make([]byte, 1<<16)
	const atOnce = 500
	for at := 0; at < len(packets); at += atOnce {
		some := packets[at:min(at+atOnce, len(packets))]
		sendAll(b, lab.Node("client"), "lan", fw, false, some)
		for heard := 0; heard < len(some); { // a message for each at the least
			n, err := unix.Read(fd, buf)
			if err != nil {
				b.Fatal(err)
			}
			heard += countOf(buf[:n])
		}
	}
	return time.Since(began)
}

// countOf is how many rules' messages netlink gave at once.
func countOf(data []byte) (n int) {
	for len(data) >= unix.NLMSG_HDRLEN {
		size := int(data[0]) | int(data[1])<<8
		if size < unix.NLMSG_HDRLEN {
			break
		}
		n++
		data = data[min(len(data), (size+3)&^3):]
	}
	return n
}

// traceAll has the kernel tell of all packets that it forwards.
func traceAll(c *nftables.Conn) error {
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "tracer"})
	chain := c.AddChain(&nftables.Chain{Table: table, Name: "forward", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityRef(-1)})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Immediate{Register: 1, Data: []byte{1}},
		&expr.Meta{Key: expr.MetaKeyNFTRACE, SourceRegister: true, Register: 1},
	}})
	return c.Flush()
}

// elements is how many a large set has.
const elements = 100_000

// listed is a ruleset with a set of that many addresses.
func listed() string {
	var addrs strings.Builder
	for i := range elements {
		fmt.Fprintf(&addrs, "198.%d.%d.%d,", 18+i>>16, i>>8&0xff, i&0xff)
	}
	return fmt.Sprintf(`table inet filter {
	set blocked { type ipv4_addr; elements = { %s }; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		ip saddr @blocked drop
		tcp dport 22 accept
	}
}
`, addrs.String())
}

// BenchmarkCoverSet tries rules of which one has a set of 100,000 elements: at most 10 s. The floor is what building such a lab takes.
func BenchmarkCoverSet(b *testing.B) {
	harness.Require(b, harness.NftTool)
	began := time.Now()
	lab := harness.Up(b, sides(listed()))
	floor, took := time.Since(began), time.Duration(0)
	for b.Loop() {
		report := timedCover(b, lab, &took)
		if n := len(report.Of(policy.Decided)); n != len(report.Rules) {
			b.Fatal(report)
		}
	}
	b.ReportMetric(took.Seconds()/float64(b.N)/floor.Seconds(), "x-floor")
}
