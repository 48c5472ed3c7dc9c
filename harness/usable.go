package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// usable returns when an interface that is up answers for its IPv6 addresses: when the
// kernel has made their local routes, which is the last that the work item does by which
// they join their groups (addrconf_dad_work). Unlike a solicitation it asks no neighbour,
// whose rules may drop the answer.
func (g *ground) usable(index int, addrs ...netip.Addr) error {
	if up, err := g.isUp(index); err != nil || !up {
		return err
	}
	return g.settled(index, addrs...)
}

// settled is usable of an interface whether or not it is up.
func (g *ground) settled(index int, addrs ...netip.Addr) error {
	start := time.Now()
	for _, addr := range addrs {
		if addr.Is4() {
			continue
		}
		local, err := g.hasLocal(index, addr)
		for ; !local && err == nil; local, err = g.hasLocal(index, addr) {
			if time.Since(start) > stallBound {
				return fmt.Errorf("the kernel has no local route to %s after %s", addr, stallBound)
			}
			pause(controlPause)
		}
		if err != nil {
			return err
		}
	}
	b := new(batch) // waits for the lock that the work item holds
	b.getLink(index, describe("look at link"))
	return g.rtnl.do(b)
}

// pause waits in the kernel, as the controls do.
func pause(d time.Duration) { _, _ = unix.Poll(nil, int(d.Milliseconds())) }

// isUp says whether an interface is up and has a carrier.
func (g *ground) isUp(index int) (bool, error) {
	b := &batch{keep: true}
	b.getLink(index, describe("look at link"))
	if err := g.rtnl.do(b); err != nil {
		return false, err
	}
	const works, flags = unix.IFF_UP | unix.IFF_LOWER_UP, unix.NLMSG_HDRLEN + 8
	for _, answer := range b.answers {
		if len(answer) >= flags+4 && binary.NativeEndian.Uint16(answer[4:]) == unix.RTM_NEWLINK {
			return binary.NativeEndian.Uint32(answer[flags:])&works == works, nil
		}
	}
	return false, nil
}

// hasLocal says whether an address is the namespace's own at an interface, as routes go.
func (g *ground) hasLocal(index int, addr netip.Addr) (bool, error) {
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[1] = family(addr), byte(addr.BitLen())
	b := &batch{keep: true}
	b.begin(unix.RTM_GETROUTE, 0, header)
	b.addr(unix.RTA_DST, addr)
	b.u32(unix.RTA_OIF, uint32(index))
	b.end(describe("look up %s", addr))
	if err := g.rtnl.do(b); errors.Is(err, errDown) {
		return false, err
	}
	const kind = unix.NLMSG_HDRLEN + 7
	for _, answer := range b.answers {
		if len(answer) > kind && binary.NativeEndian.Uint16(answer[4:]) == unix.RTM_NEWROUTE {
			return answer[kind] == unix.RTN_LOCAL, nil
		}
	}
	return false, nil
}
