package probes_test

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func TestANodeAsksItself(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	fw := lab.Node("fw")
	probes.Serve(t, fw, web, dns)
	for _, to := range []probes.Target{fw, fw.On("dmz"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")} {
		for _, p := range []probes.Probe{icmp, web, dns} {
			for _, r := range each(ask(t, fw, to, p)) {
				if r.Outcome != probes.Answered || p != icmp && (r.By != "fw" || !r.Proven) {
					t.Errorf("%+v", r)
				}
			}
		}
		for _, p := range []probes.Probe{probes.TCP(81), probes.UDP(81)} {
			for _, r := range each(ask(t, fw, to, p)) {
				if r.Outcome != probes.Refused || r.Errno != unix.ECONNREFUSED {
					t.Errorf("%+v", r)
				}
			}
		}
	}
}

// The kernel may choose the very port that is asked as the asker's own. Then the
// socket talks to itself, which is nobody's answer.
func TestASocketThatMeetsItselfIsRefused(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	fw := lab.Node("fw")
	if err := fw.SetSysctl("net.ipv4.ip_local_port_range", "40000 40001"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []probes.Probe{probes.TCP(40000), probes.TCP(40001), probes.UDP(40000), probes.UDP(40001)} {
		for range 4 {
			for _, r := range each(ask(t, fw, fw, p)) {
				if r.Outcome != probes.Refused || r.Errno != unix.ECONNREFUSED {
					t.Errorf("%+v", r)
				}
			}
		}
	}
}

// An attached node's own lab knows nobody; the target's does.
func TestAttachedNodesAsk(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	server := lab.Node("server")
	guest := harness.Attach(t, "guest", lab.Node("client").Path())
	probes.Serve(t, server, web, dns)
	for _, to := range []probes.Target{server, server.On("dmz")} {
		for _, p := range []probes.Probe{icmp, web, dns} {
			result := ask(t, guest, to, p)
			if len(result.Each) != 2 || result.From != "guest" || result.To != to.String() {
				t.Errorf("%+v", result)
			}
			for _, r := range result.Each {
				if r.Outcome != probes.Answered || r.By != "server" || r.Proven != (p != icmp) {
					t.Errorf("%+v", r)
				}
			}
		}
	}
	gomega.NewWithT(t).Expect(guest).To(probes.Reach(server, icmp, web, dns))
	r := ask(t, guest, netip.MustParseAddr("10.0.2.1"), icmp)
	if r.Outcome != probes.Answered || r.By != "" || r.Sender != r.Addr {
		t.Errorf("an address of no lab that it knows: %+v", r)
	}
	// Whom the namespace allows ping sockets is its own affair: it was asked for raw ones.
	const key = "net.ipv4.ping_group_range"
	fresh, err1 := lab.Node("fw").Sysctl(key)
	groups, err2 := lab.Node("client").Sysctl(key)
	if groups != fresh || err1 != nil || err2 != nil {
		t.Errorf("an attached namespace was configured: %s is %q, not %q, %v, %v", key, groups, fresh, err1, err2)
	}

	// Whom it reaches no lab may know: nobody is waited for.
	begun := time.Now()
	if r, err := probes.Ask(t.Context(), guest, netip.MustParseAddr("10.0.2.1"), probes.TCP(80).Within(time.Minute)); err != nil || r.Outcome != probes.Answered {
		t.Errorf("%v, %v", r, err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// Another interface has a route for link-local addresses as well: it is not that one's.
func TestALinkLocalAddressIsLostWithItsLink(t *testing.T) {
	t.Parallel()
	fw := harness.Up(t, office("")).Node("fw")
	if err := fw.Port("lan").Down(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []probes.Probe{probes.UDP(53), probes.UDP(53).From(fw.On("dmz").Addrs()[1])} {
		cause := watch(t, fw, netip.MustParseAddr("fe80::1%lan"), p).Cause
		if want := "the request was lost at fw/lan: the link is down"; cause == nil || cause.String() != want {
			t.Errorf("%v, want %s", cause, want)
		}
	}
}

// A link-local address is asked through an interface of the asker.
func TestLinkLocalAddresses(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, fw := lab.Node("client"), lab.Node("fw")
	probes.Serve(t, fw, web, dns)
	addr := linkLocalOf(t, fw, "lan")
	link, err := client.Netlink().LinkByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	index := strconv.Itoa(link.Attrs().Index)
	for _, zone := range []string{"lan", index} {
		to := addr.WithZone(zone)
		grid := probes.Grid{From: []*harness.Node{client}, To: []probes.Target{to}}
		for _, p := range []probes.Probe{icmp, web, dns} {
			r := ask(t, client, to, p)
			if r.Outcome != probes.Answered || r.Addr != to || r.Sender != addr || p != icmp && (r.By != "fw" || !r.Proven) {
				t.Errorf("%+v", r)
			}
			if strings.Contains(r.String(), "from") {
				t.Error(r)
			}
			grid.Probes = append(grid.Probes, p)
		}
		matrix, err := grid.Survey(t.Context())
		matches(t, matrix, err, "  "+to.String()+"\nclient ok\n")
	}
	if r := ask(t, client, addr.WithZone(index), probes.UDP(9)); r.Outcome != probes.Refused || r.Sender != addr {
		t.Errorf("%+v", r)
	}
}

// linkLocalOf is the address that the kernel gave a port.
func linkLocalOf(t *testing.T, node *harness.Node, port string) (found netip.Addr) {
	t.Helper()
	link, err := node.Netlink().LinkByName(port)
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := node.Netlink().AddrList(link, unix.AF_INET6)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if addr.IP.IsLinkLocalUnicast() {
			found, _ = netip.AddrFromSlice(addr.IP)
		}
	}
	return found
}

// Who rejects is known by the address alone where others have it as well; the
// asker itself is never taken for it.
func TestRejectedFromAnAddressThatSeveralHave(t *testing.T) {
	t.Parallel()
	network := office("")
	twin := network.Switch("twin", "10.0.1.0/24")
	network.Host("double", twin.At("10.0.1.2"))   // fw's
	network.Host("stranger", twin.At("10.0.1.1")) // client's
	lab := harness.Up(t, network)
	client, nowhere := lab.Node("client"), netip.MustParseAddr("203.0.113.9")
	for _, p := range []probes.Probe{icmp, web, dns} {
		r := ask(t, client, nowhere, p)
		if r.Outcome != probes.Rejected || r.By != "" || r.Sender.String() != "10.0.1.2" ||
			!strings.Contains(r.String(), ": rejected by one of fw, double from 10.0.1.2 after ") {
			t.Errorf("%+v", r)
		}
	}
	matrix, err := probes.Grid{From: []*harness.Node{client}, To: []probes.Target{nowhere}}.Survey(t.Context())
	matches(t, matrix, err, "  203.0.113.9\nclient  rejected@10.0.1.2\n")
}

func TestTheLargestPayload(t *testing.T) {
	t.Parallel()
	network := topo.New("jumbo")
	wire := network.Wire("wire", "10.0.0.0/24", "fd00::/64").MTU(65535)
	network.Host("a", wire)
	network.Host("b", wire)
	lab := harness.Up(t, network)
	a, b := lab.Node("a"), lab.Node("b")
	probes.Serve(t, b, dns)
	for _, p := range []probes.Probe{icmp, dns} {
		for size, want := range map[int][2]probes.Outcome{
			24: {probes.Answered, probes.Answered}, 65487: {probes.Answered, probes.Answered},
			65507: {probes.Answered, probes.Unsent}, // the IPv6 header is 20 bytes longer
		} {
			for i, r := range ask(t, a, b, p.Size(size)).Each {
				if r.Outcome != want[i] || r.Outcome == probes.Unsent && r.Errno != unix.EMSGSIZE {
					t.Errorf("%d bytes: %s", size, r)
				}
			}
		}
		matrix, err := probes.Survey(t.Context(), lab, p.Size(65487))
		matches(t, matrix, err, "  a b\na . ok\nb "+map[bool]string{true: "ok", false: "refused"}[p == icmp]+" .\n")
	}
}

func TestABroadcastIsNotSent(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	for p, want := range map[probes.Probe]unix.Errno{icmp: unix.EACCES, dns: unix.EACCES, web: unix.ENETUNREACH} {
		if r := ask(t, lab.Node("client"), netip.MustParseAddr("10.0.1.255"), p); r.Outcome != probes.Unsent || r.Errno != want {
			t.Errorf("%+v", r)
		}
	}
}

// A round trip is no longer than what was waited for, nor than it took.
func TestRoundTripTime(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web, dns)
	for _, p := range []probes.Probe{icmp, web, dns, probes.TCP(81), probes.UDP(81)} {
		start := time.Now()
		r := ask(t, client, server, p)
		if took := time.Since(start); r.RTT <= 0 || r.RTT > took {
			t.Errorf("%s, and it took %s", r, took)
		}
		start = time.Now()
		matrix, err := probes.Survey(t.Context(), lab, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range matrix.Results("client", "server") {
			if took := time.Since(start); r.RTT <= 0 || r.RTT > took {
				t.Errorf("%s, and the survey took %s", r, took)
			}
		}
	}
}

// A packet that the asker's own queue throws away is no verdict: ENOBUFS is also
// what a full neighbour table says, which is the machine's.
func TestNoBufferSpaceIsAnError(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	if r := ask(t, client, server, icmp); r.Outcome != probes.Answered {
		t.Fatal("the control: ", r)
	}
	if err := client.Do(func() error { return noRoom("lan") }); err != nil {
		t.Fatal(err)
	}
	for _, p := range []probes.Probe{icmp, dns} {
		r, err := probes.Ask(t.Context(), client, server, p.Within(soon))
		if !errors.Is(err, unix.ENOBUFS) || r.Outcome != 0 {
			t.Errorf("%s: %v, %v", p, err, r)
		}
		matrix, err := probes.Survey(t.Context(), lab, p.Within(soon))
		if !errors.Is(err, unix.ENOBUFS) || matrix != nil || !strings.HasPrefix(err.Error(), "survey: client -> server (10.0.2.1) ") {
			t.Errorf("%s: %v, %v", p, err, matrix)
		}
	}
	if _, err := probes.Ping(t.Context(), client, server, probes.Train{Within: time.Second}); !errors.Is(err, unix.ENOBUFS) {
		t.Error(err)
	}
}

// noRoom gives an interface of the calling thread's namespace a queue for no
// packet at all (tc-pfifo(8)).
func noRoom(name string) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(&nl.TcMsg{Ifindex: int32(link.Index), Handle: 1 << 16, Parent: 0xffffffff}) // the root
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("pfifo")))
	req.AddData(nl.NewRtAttr(nl.TCA_OPTIONS, []byte{0, 0, 0, 0})) // struct tc_fifo_qopt: the limit
	_, err = req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
