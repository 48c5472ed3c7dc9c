package harness

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// rootQdisc is the parent of an interface's first queueing discipline.
const rootQdisc = 0xffffffff // TC_H_ROOT

// lane is a row of queueing disciplines of an interface: what netem has been through waits for the rate, and
// queues there. The first, 0, is for all, or for what has none of its own.
type lane uint32

// handles of lanes' queueing disciplines, and of htb, which hands packets to lanes.
const (
	handleShift        = 16
	perLane     lane   = 16
	htbHandle   uint32 = 4 << handleShift
)

func (l lane) netem() uint32 { return uint32(l*perLane+1) << handleShift }
func (l lane) tbf() uint32   { return uint32(l*perLane+2) << handleShift }
func (l lane) fifo() uint32  { return uint32(l*perLane+3) << handleShift }

// class is htb's that has the lane.
func (l lane) class() uint32 { return htbHandle | uint32(l+1) }

// of are those of an interface's queueing disciplines that the lane has, first what is asked first.
func (l lane) of(all []inspect.Qdisc) (own []inspect.Qdisc) {
	for _, q := range all {
		if q.Handle != htbHandle && lane(q.Handle>>handleShift)/perLane == l {
			own = append(own, q)
		}
	}
	slices.SortFunc(own, func(a, b inspect.Qdisc) int { return cmp.Compare(a.Handle, b.Handle) })
	return own
}

// lane adds one, for what happens to packets.
func (b *batch) lane(l lane, index int, parent uint32, mtu int, i topo.Impairment, where string) {
	if i.Netem() {
		b.netem(index, parent, l.netem(), i, describe("%s: netem %s", where, i))
		parent = l.netem() | 1
	}
	if i.Rate > 0 {
		b.rate(l, index, parent, mtu, i, where)
	}
}

const defaultMTU = 1500

// beginQdisc begins a request about a queueing discipline of an interface, struct tcmsg of
// linux/rtnetlink.h.
func (b *batch) beginQdisc(kind, flags uint16, index int, parent, handle uint32) {
	header := make([]byte, 20)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint32(header[8:], handle)
	binary.NativeEndian.PutUint32(header[12:], parent)
	b.begin(kind, flags, header)
}

func (b *batch) qdisc(kind, flags uint16, index int, parent, handle uint32, what func() string) {
	b.beginQdisc(kind, flags, index, parent, handle)
	b.end(what)
}

// beginFilter begins one about the filter of a queueing discipline that has this priority.
func (b *batch) beginFilter(kind, flags uint16, index int, parent, priority uint32, protocol uint16) {
	b.beginQdisc(kind, flags, index, parent, 0)
	binary.NativeEndian.PutUint32(b.buf[len(b.buf)-4:], priority<<16|uint32(htons(protocol))) // tcm_info
}

// words are numbers as netlink has them, one after the other.
func words(values ...uint32) (bytes []byte) {
	for _, value := range values {
		bytes = binary.NativeEndian.AppendUint32(bytes, value)
	}
	return bytes
}

const newQdisc = unix.NLM_F_CREATE | unix.NLM_F_REPLACE

// netem adds one (linux/pkt_sched.h). Delays go in nanoseconds, in attributes of their own:
// those of the options are in ticks of psched, which is not a microsecond anywhere.
func (b *batch) netem(index int, parent, handle uint32, i topo.Impairment, what func() string) {
	limit := uint32(i.Limit)
	if limit == 0 || i.Rate > 0 { // then the queue that waits for the rate has it
		limit = 1 << 20
	}
	gap := uint32(0)
	if i.Reorder > 0 {
		gap = 1
	}
	b.beginQdisc(unix.RTM_NEWQDISC, newQdisc, index, parent, handle)
	b.text(unix.TCA_KIND, "netem")
	nested := b.nest(unix.TCA_OPTIONS, words(0, limit, chance(i.Loss), gap, chance(i.Duplicate), 0)...)
	for _, part := range []struct {
		kind uint16
		of   float64
	}{{3, i.Reorder}, {4, i.Corrupt}} { // TCA_NETEM_REORDER, TCA_NETEM_CORRUPT: probability, correlation
		if part.of > 0 {
			b.attr(part.kind, words(chance(part.of), 0))
		}
	}
	b.attr(10, binary.NativeEndian.AppendUint64(nil, uint64(i.Delay)))  // TCA_NETEM_LATENCY64
	b.attr(11, binary.NativeEndian.AppendUint64(nil, uint64(i.Jitter))) // TCA_NETEM_JITTER64
	nested()
	b.end(what)
}

// chance is a part of one as the kernel has it, of 2^32 - 1.
func chance(part float64) uint32 { return uint32(part*0xffffffff + 0.5) }

// rate adds a token bucket (tbf), and the queue in it.
func (b *batch) rate(l lane, index int, parent uint32, mtu int, i topo.Impairment, where string) {
	const (
		parms, rate64, burst = 1, 4, 6 // TCA_TBF_PARMS, TCA_TBF_RATE64, TCA_TBF_BURST
		parmsSize            = 36      // struct tc_tbf_qopt: two struct tc_ratespec of 12 bytes, limit, buffer, mtu
		rateOffset           = 8       // of tc_ratespec
		bits                 = 8
	)
	bytes := uint64(i.Rate) / bits
	queued := i.Limit
	if queued == 0 {
		queued = defaultQueue
	}
	opt := make([]byte, parmsSize)
	binary.NativeEndian.PutUint32(opt[rateOffset:], uint32(min(bytes, 0xffffffff)))
	binary.NativeEndian.PutUint32(opt[24:], uint32(queued*(mtu+etherHeader))) // of the queue that is replaced
	b.beginQdisc(unix.RTM_NEWQDISC, newQdisc, index, parent, l.tbf())
	b.text(unix.TCA_KIND, "tbf")
	nested := b.nest(unix.TCA_OPTIONS)
	b.attr(parms, opt)
	if bytes > 0xffffffff {
		b.attr(rate64, binary.NativeEndian.AppendUint64(nil, bytes))
	}
	b.u32(burst, uint32(burstOf(i, mtu)))
	nested()
	b.end(describe("%s: tbf rate %s", where, i.Rate))

	b.beginQdisc(unix.RTM_NEWQDISC, newQdisc, index, l.tbf()|1, l.fifo())
	b.text(unix.TCA_KIND, "pfifo")
	b.u32(unix.TCA_OPTIONS, uint32(queued))
	b.end(describe("%s: queue of %d packets", where, queued))
}

// defaultQueue is how many packets wait for a rate: as many as an interface has room for
// (txqueuelen).
const defaultQueue = 1000
