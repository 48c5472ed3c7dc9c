package harness

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// What follows has htb (tc-htb(8)) hand packets to lanes, by the end of a switch that they came in by. Its classes
// have a rate that no packet waits for: it is the only classful queueing discipline that all kernels here have.

// htb adds it; what no filter is for has lane 0, where there is one, and else waits for nothing.
func (b *batch) htb(index int, rest bool, what func() string) {
	const (
		glob                 = 2 // TCA_HTB_INIT: struct tc_htb_glob of version, rate to quantum, class, debug and count
		version, rateQuantum = 3, 10
	)
	class := uint32(0)
	if rest {
		class = lane(0).class() &^ htbHandle
	}
	b.beginQdisc(unix.RTM_NEWQDISC, newQdisc, index, rootQdisc, htbHandle)
	b.text(unix.TCA_KIND, "htb")
	nested := b.nest(unix.TCA_OPTIONS)
	b.attr(glob, words(version, rateQuantum, class, 0, 0))
	nested()
	b.end(what)
}

// class adds htb's class of a lane.
func (b *batch) class(l lane, index int, what func() string) {
	const (
		parms, rate64, ceil64 = 1, 6, 7 // TCA_HTB_PARMS, TCA_HTB_RATE64, TCA_HTB_CEIL64
		parmsSize             = 44      // struct tc_htb_opt: two struct tc_ratespec of 12 bytes, buffer, cbuffer, quantum, level, prio
		most                  = 0xffffffff
		fast                  = 1 << 40 // bytes a second
		burst                 = 1 << 20 // ticks of 64 ns: more than the largest packet takes
		quantum               = 1 << 17 // bytes: else the kernel makes it of the rate, and says that it is large
		ethernet              = 1       // TC_LINKLAYER_ETHERNET: the kernel makes the table of rates itself
	)
	opt := make([]byte, parmsSize)
	for _, rate := range [][]byte{opt, opt[12:]} {
		rate[1] = ethernet
		binary.NativeEndian.PutUint32(rate[8:], most)
	}
	copy(opt[24:], words(burst, burst, quantum))
	b.beginQdisc(unix.RTM_NEWTCLASS, newQdisc, index, htbHandle, l.class())
	b.text(unix.TCA_KIND, "htb")
	nested := b.nest(unix.TCA_OPTIONS)
	b.attr(parms, opt)
	b.attr(rate64, binary.NativeEndian.AppendUint64(nil, fast))
	b.attr(ceil64, binary.NativeEndian.AppendUint64(nil, fast))
	nested()
	b.end(what)
}

// cameBy has htb give what came in by an interface to a lane (tc-u32(8): match u32 0 0 indev NAME).
func (b *batch) cameBy(name string, l lane, index int, what func() string) {
	const (
		classID, sel, indev = 1, 5, 8 // TCA_U32_CLASSID, TCA_U32_SEL, TCA_U32_INDEV
		selSize, keySize    = 16, 16  // struct tc_u32_sel, and a struct tc_u32_key that matches all
		terminal, keys      = 1, 1
		priority            = 1
	)
	match := make([]byte, selSize+keySize)
	match[0], match[2] = terminal, keys
	b.beginFilter(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, htbHandle, priority, unix.ETH_P_ALL)
	b.text(unix.TCA_KIND, "u32")
	nested := b.nest(unix.TCA_OPTIONS)
	b.u32(classID, l.class())
	b.text(indev, name)
	b.attr(sel, match)
	nested()
	b.end(what)
}
