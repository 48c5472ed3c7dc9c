package inspect

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Qdisc is a queueing discipline by which an interface sends (tc(8)).
type Qdisc struct {
	Index int // of the interface
	Kind  string
	// Handle and Parent are what tc calls it, and what asks it: of 32 bits, 0x10000 is 1:.
	Handle, Parent uint32
	// Loss is the part of one that netem loses by chance.
	Loss float64
	// Delay is what netem adds to a packet's way.
	Delay time.Duration
	// Rate is that of tbf in bits a second; 0 of others.
	Rate uint64
	// Drops are how many packets it has dropped, for whatever reason.
	Drops uint32
	// Holds is how many packets wait in it, and in what it hands them to.
	Holds uint32
	// Passed are how many it has handed on.
	Passed uint32
}

// Qdiscs are those of the namespace that hold or drop packets; of an interface first what is
// asked first. A kernel without any has none.
func (ns Namespace) Qdiscs() ([]Qdisc, error) {
	found, err := ns.Handle.QdiscList(nil)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	var all []Qdisc
	for _, q := range found {
		switch q.Type() {
		case "noqueue", "clsact", "ingress":
			continue
		}
		all = append(all, qdiscOf(q))
	}
	return all, err
}

func qdiscOf(q netlink.Qdisc) Qdisc {
	const bits = 8
	own := Qdisc{Index: q.Attrs().LinkIndex, Kind: q.Type(), Handle: q.Attrs().Handle, Parent: q.Attrs().Parent}
	if s := q.Attrs().Statistics; s != nil && s.Queue != nil {
		own.Drops, own.Holds = s.Queue.Drops, s.Queue.Qlen
		if s.Basic != nil {
			own.Passed = s.Basic.Packets
		}
	}
	switch q := q.(type) {
	case *netlink.Netem:
		own.Loss = float64(q.Loss) / math.MaxUint32
		if ticks := netlink.TickInUsec(); ticks > 0 {
			own.Delay = time.Duration(float64(q.Latency) / ticks * float64(time.Microsecond))
		}
	case *netlink.Tbf:
		own.Rate = bits * q.Rate
	}
	return own
}

// String is the queueing discipline with what it does: "netem (delay 20ms, loss 10 %)",
// "tbf (rate 8 Mbit/s)".
func (q Qdisc) String() string {
	var does []string
	if q.Delay > 0 {
		does = append(does, "delay "+q.Delay.String())
	}
	if q.Loss > 0 {
		does = append(does, fmt.Sprintf("loss %s %%", strconv.FormatFloat(100*q.Loss, 'g', 3, 64)))
	}
	if q.Rate > 0 {
		does = append(does, fmt.Sprintf("rate %s Mbit/s", strconv.FormatFloat(float64(q.Rate)/1e6, 'g', 6, 64)))
	}
	if len(does) == 0 {
		return q.Kind
	}
	return fmt.Sprintf("%s (%s)", q.Kind, strings.Join(does, ", "))
}

// QdiscsOf are those of an interface.
func (s *State) QdiscsOf(index int) (own []Qdisc) {
	for _, q := range s.Qdiscs {
		if q.Index == index {
			own = append(own, q)
		}
	}
	return own
}
