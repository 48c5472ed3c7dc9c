package harness

import (
	"encoding/binary"
	"strconv"
	"strings"
	"sync"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// neighbourParm is a parameter of ARP or neighbour discovery of an interface: its sysctl
// below net.ipv4.neigh and net.ipv6.neigh, the kernel's own values there, and how route
// netlink has it: milliseconds of the sysctl's unit, or 0 for a number.
type neighbourParm struct {
	key      string
	attr     uint16
	of4, of6 int
	unit     uint64
}

// What an interface has of these is a copy of what the machine's own namespace has for its
// default, whichever namespace it is made in (neigh_parms_alloc in net/core/neighbour.c), so
// a machine that asks once, or keeps no packet that waits for an answer, made labs that do.
// The values are those of arp_tbl in net/ipv4/arp.c and nd_tbl in net/ipv6/ndisc.c; what
// they are for is in arp(7). A key that a kernel lacks is passed over.
var neighbourParms = []neighbourParm{
	{"anycast_delay", 12, 100, 100, 10}, {"app_solicit", 9, 0, 0, 0}, {"base_reachable_time_ms", 4, 30000, 30000, 1},
	{"delay_first_probe_time", 7, 5, 5, 1000}, {"gc_stale_time", 6, 60, 60, 1000}, {"interval_probe_time_ms", 19, 5000, 5000, 1},
	{"locktime", 15, 100, 0, 10}, {"mcast_resolicit", 17, 0, 0, 0}, {"mcast_solicit", 11, 3, 3, 0}, {"proxy_delay", 13, 80, 80, 10},
	{"proxy_qlen", 14, 64, 64, 0}, {"retrans_time_ms", 5, 1000, 1000, 1}, {"ucast_solicit", 10, 3, 3, 0},
	{"unres_qlen_bytes", 16, 212992, 212992, 0},
}

// Attributes of a neighbour table (include/uapi/linux/neighbour.h).
const (
	ndtaName     = 1
	ndtaParms    = 6
	ndtpaIfindex = 1
)

// isDifferent says what an interface that is made now has otherwise than the kernel's own.
// The calling thread is in a new namespace, whose lo was.
func isDifferent(parms []neighbourParm) (differ4, differ6 []neighbourParm) {
	differs := func(family string, p neighbourParm, own int) bool {
		value := currentValue("net." + family + ".neigh.lo." + p.key)
		return value != absent && value != strconv.Itoa(own)
	}
	for _, p := range parms {
		if differs("ipv4", p, p.of4) {
			differ4 = append(differ4, p)
		}
		if differs("ipv6", p, p.of6) {
			differ6 = append(differ6, p)
		}
	}
	return differ4, differ6
}

// oddNeighbours are the parameters that every interface of a lab is set to, on a machine
// that has others than the kernel's; none on most. They are found once, as fresh is.
var oddNeighbours struct {
	sync.Once
	of4, of6 []neighbourParm
}

func findOddNeighbours() {
	oddNeighbours.Do(func() { oddNeighbours.of4, oddNeighbours.of6 = isDifferent(neighbourParms) })
}

// leastMTU6 is what IPv6 wants of a link (RFC 8200, section 5); one with less has none.
const leastMTU6 = 1280

// ownNeighbourParms give an interface the kernel's own where the machine has others.
func ownNeighbourParms(d *topo.DevicePlan, ipv6 bool) (all []request) {
	if odd := oddNeighbours.of4; len(odd) > 0 {
		all = append(all, request{do: func(b *batch) { b.neighbourParms(unix.AF_INET, "arp_cache", d, odd) }})
	}
	if odd := oddNeighbours.of6; len(odd) > 0 && ipv6 && (d.MTU == 0 || d.MTU >= leastMTU6) {
		all = append(all, request{do: func(b *batch) { b.neighbourParms(unix.AF_INET6, "ndisc_cache", d, odd) }})
	}
	return all
}

func (b *batch) neighbourParms(family uint8, table string, d *topo.DevicePlan, parms []neighbourParm) {
	b.begin(unix.RTM_SETNEIGHTBL, 0, []byte{family, 0, 0, 0})
	b.text(ndtaName, table)
	end := b.nest(ndtaParms)
	b.u32(ndtpaIfindex, uint32(d.Index))
	var keys []string
	for _, p := range parms {
		value := p.of4
		if family == unix.AF_INET6 {
			value = p.of6
		}
		if p.unit == 0 {
			b.u32(p.attr, uint32(value))
		} else {
			b.attr(p.attr, binary.NativeEndian.AppendUint64(nil, uint64(value)*p.unit))
		}
		keys = append(keys, p.key)
	}
	end()
	b.end(describe("port %s: set %s of %s", d.Name, strings.Join(keys, ", "), table))
}
