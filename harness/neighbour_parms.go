package harness

import (
	"encoding/binary"
	"strconv"
	"strings"
	"sync"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// neighbourParm is a parameter of ARP and of neighbour discovery of an interface: its sysctl
// below net.ipv4.neigh and net.ipv6.neigh, how route netlink has it (milliseconds of the
// sysctl's unit, or 0 for a number), and the kernel's own value in each of neighbourTables.
type neighbourParm struct {
	key  string
	attr uint16
	unit uint64
	own  [2]int
}

// neighbourTables are those of IPv4 and of IPv6.
var neighbourTables = [2]struct {
	name, sysctls string
	family        uint8
}{{"arp_cache", "ipv4", unix.AF_INET}, {"ndisc_cache", "ipv6", unix.AF_INET6}}

// What an interface has of these is a copy of what the machine's own namespace has for its
// default, whichever namespace it is made in (neigh_parms_alloc in net/core/neighbour.c), so
// a machine that asks once, or keeps no packet that waits for an answer, made labs that do.
// The values are those of arp_tbl in net/ipv4/arp.c and nd_tbl in net/ipv6/ndisc.c; what
// they are for is in arp(7). A key that a kernel lacks is passed over.
var neighbourParms = []neighbourParm{
	{"anycast_delay", 12, 10, [2]int{100, 100}}, {"app_solicit", 9, 0, [2]int{0, 0}}, {"base_reachable_time_ms", 4, 1, [2]int{30000, 30000}},
	{"delay_first_probe_time", 7, 1000, [2]int{5, 5}}, {"gc_stale_time", 6, 1000, [2]int{60, 60}}, {"interval_probe_time_ms", 19, 1, [2]int{5000, 5000}},
	{"locktime", 15, 10, [2]int{100, 0}}, {"mcast_resolicit", 17, 0, [2]int{0, 0}}, {"mcast_solicit", 11, 0, [2]int{3, 3}}, {"proxy_delay", 13, 10, [2]int{80, 80}},
	{"proxy_qlen", 14, 0, [2]int{64, 64}}, {"retrans_time_ms", 5, 1, [2]int{1000, 1000}}, {"ucast_solicit", 10, 0, [2]int{3, 3}},
	{"unres_qlen_bytes", 16, 0, [2]int{212992, 212992}},
}

// Attributes of a neighbour table (include/uapi/linux/neighbour.h).
const (
	ndtaName     = 1
	ndtaParms    = 6
	ndtpaIfindex = 1
)

// differentParms are the parameters that an interface which is made now has otherwise than the
// kernel's own, of each table. The calling thread is in a new namespace, whose lo was.
func differentParms(parms []neighbourParm) (odd [2][]neighbourParm) {
	for i, table := range neighbourTables {
		for _, p := range parms {
			value := currentValue("net." + table.sysctls + ".neigh.lo." + p.key)
			if value != absent && value != strconv.Itoa(p.own[i]) {
				odd[i] = append(odd[i], p)
			}
		}
	}
	return odd
}

// oddNeighbours are the parameters that every interface of a lab is set to, on a machine
// that has others than the kernel's; none on most. Who asks first is in a new namespace.
var oddNeighbours = sync.OnceValue(func() [2][]neighbourParm { return differentParms(neighbourParms) })

// leastMTU6 is what IPv6 wants of a link (RFC 8200, section 5); one with less has none.
const leastMTU6 = 1280

// ownNeighbourParms give an interface the kernel's own where the machine has others.
func ownNeighbourParms(d *topo.DevicePlan, ipv6 bool) (all []request) {
	ipv6 = ipv6 && (d.MTU == 0 || d.MTU >= leastMTU6)
	for i, odd := range oddNeighbours() {
		if len(odd) > 0 && (ipv6 || neighbourTables[i].family == unix.AF_INET) {
			all = append(all, request{do: func(b *batch) { b.neighbourParms(i, d, odd) }})
		}
	}
	return all
}

// neighbourParms sets parameters of an interface in one of neighbourTables.
func (b *batch) neighbourParms(table int, d *topo.DevicePlan, parms []neighbourParm) {
	of := neighbourTables[table]
	b.begin(unix.RTM_SETNEIGHTBL, 0, []byte{of.family, 0, 0, 0})
	b.text(ndtaName, of.name)
	end := b.nest(ndtaParms)
	b.u32(ndtpaIfindex, uint32(d.Index))
	var keys []string
	for _, p := range parms {
		if value := p.own[table]; p.unit == 0 {
			b.u32(p.attr, uint32(value))
		} else {
			b.attr(p.attr, binary.NativeEndian.AppendUint64(nil, uint64(value)*p.unit))
		}
		keys = append(keys, p.key)
	}
	end()
	b.end(describe("port %s: set %s of %s", d.Name, strings.Join(keys, ", "), of.name))
}
