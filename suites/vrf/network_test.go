package vrf_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tenants are networks of two hosts each, with a router between; and what is left of the
// router for the one who runs it:
//
//	red/a  --red/in--  r --red/out--  red/b
//	blue/a --blue/in-- r --blue/out-- blue/b
//	               ops --mgmt-- r
type tenants struct {
	network *topo.Network
	on      map[string]*topo.Segment
	r       *topo.Node // nil where each has one of its own
}

var (
	names = []string{"red", "blue"}
	hosts = []string{"red/a", "red/b", "blue/a", "blue/b"}
)

// prefixes are a tenant's, of a part of its network; the same for all, or its own.
func prefixes(own bool, tenant, part int) []string {
	if !own {
		tenant = 0
	}
	return []string{fmt.Sprintf("10.%d.%d.0/24", tenant+1, part+1), fmt.Sprintf("fd00:%d:%d::/64", tenant+1, part+1)}
}

func declare(own, vrfs bool) *tenants {
	t := &tenants{network: topo.New("tenants"), on: map[string]*topo.Segment{}}
	var at []topo.Attachment
	for i, tenant := range names {
		var ports []topo.Attachment
		for j, part := range []string{"in", "out"} {
			name := tenant + "/" + part
			t.on[name] = t.network.Wire(name, prefixes(own, i, j)...)
			t.network.Host(tenant+"/"+[]string{"a", "b"}[j], t.on[name])
			ports = append(ports, t.on[name].As(tenant+"-"+part))
		}
		if !vrfs {
			t.network.Router(tenant+"/r", ports...)
		}
		at = append(at, ports...)
	}
	t.on["mgmt"] = t.network.Wire("mgmt", "10.9.0.0/24", "fd00:9::/64")
	t.network.Host("ops", t.on["mgmt"])
	if !vrfs {
		t.network.Router("mgmt/r", t.on["mgmt"])
		return t
	}
	t.r = t.network.Router("r", append(at, t.on["mgmt"])...)
	for i, tenant := range names {
		t.r.VRF(tenant, 10*(i+1), t.on[tenant+"/in"], t.on[tenant+"/out"])
	}
	return t
}

// up makes it real, and has a second lab from its plan be the same.
func (t *tenants) up() *harness.Lab {
	GinkgoHelper()
	lab := harness.Up(GinkgoTB(), t.network)
	twin, err := lab.Twin()
	Expect(err).NotTo(HaveOccurred())
	twin.Down()
	return lab
}

const port = 4000

// soon is when a responder has long had its turn, however busy the machine.
const soon = 25 * time.Second

var (
	ping = probes.ICMP().Within(soon)
	web  = probes.TCP(80).Within(soon)
	dns  = probes.UDP(53).Within(soon)
)

// heard has each of some nodes send a datagram with its name to each address of all, by
// plain sockets, and says who has heard of whom.
func heard(lab *harness.Lab, nodes ...string) string {
	GinkgoHelper()
	conns := map[string]func() []string{}
	for _, name := range nodes {
		conns[name] = listens(lab.Node(name))
	}
	for _, from := range nodes {
		for _, to := range nodes {
			if from != to {
				send(lab.Node(from), lab.Node(to).Addrs()...)
			}
		}
	}
	var lines []string
	for _, name := range nodes {
		if of := conns[name](); len(of) > 0 {
			lines = append(lines, name+" hears "+strings.Join(of, ", "))
		}
	}
	return strings.Join(lines, "; ")
}

// send sends a node's name to addresses. That there is no way is no error.
func send(from *harness.Node, addrs ...netip.Addr) {
	GinkgoHelper()
	for _, addr := range addrs {
		conn, err := from.Dial(context.Background(), "udp", netip.AddrPortFrom(addr, port))
		if err != nil {
			continue // no route
		}
		_, _ = conn.Write([]byte(from.Name()))
		Expect(conn.Close()).To(Succeed())
	}
}

// settles is how long a datagram may be on its way.
const settles = 2 * time.Second

// listens opens a socket for all addresses; the returned func says whose names came.
func listens(node *harness.Node) func() []string {
	GinkgoHelper()
	conn, err := node.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	return func() []string {
		GinkgoHelper()
		from, buf := map[string]bool{}, make([]byte, 64)
		Expect(conn.SetReadDeadline(time.Now().Add(settles))).To(Succeed())
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				Expect(err).To(MatchError(os.ErrDeadlineExceeded))
				return slices.Sorted(maps.Keys(from))
			}
			if name := string(buf[:n]); name != node.Name() { // at another's address, which it has as well
				from[name] = true
			}
		}
	}
}

// apart is what is heard where tenants are apart.
const apart = "red/a hears red/b; red/b hears red/a; blue/a hears blue/b; blue/b hears blue/a"

// whoReaches is who reaches whom of the hosts, by probes that they sign.
func whoReaches(ctx context.Context, lab *harness.Lab) string {
	GinkgoHelper()
	grid := probes.Grid{Probes: []probes.Probe{dns, web}}
	for _, name := range hosts {
		probes.Serve(GinkgoTB(), lab.Node(name), grid.Probes...)
		grid.From, grid.To = append(grid.From, lab.Node(name)), append(grid.To, lab.Node(name))
	}
	matrix, err := grid.Survey(ctx)
	Expect(err).NotTo(HaveOccurred())
	var text strings.Builder
	for _, from := range hosts {
		for _, to := range hosts {
			switch cell := matrix.Cell(from, to); cell {
			case ".", "ok":
				fmt.Fprintf(&text, "%3s", cell)
			default:
				fmt.Fprintf(&text, "%3s", "no")
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}
