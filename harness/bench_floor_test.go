package harness_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// The floor: the star of hosts by hand, with bare netlink calls and two threads
// that make the namespaces. It has no plan, no errors worth reading, and checks
// nothing; what a lab costs above it is what the harness costs.
//
// A routed star is a router namespace and n hosts, each on a pair of its own; a
// flat star is n hosts on one bridge, and the router as another port of it.

type floorNS struct{ ns, rt int }

func (f floorNS) close() {
	unix.Close(f.rt)
	unix.Close(f.ns)
}

func floorNamespaces(n int) []floorNS {
	made := make([]floorNS, n)
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Add(1)
		floorThread(func() {
			defer wg.Done()
			for i := w; i < n; i += 2 {
				if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
					panic(err)
				}
				made[i].ns, _ = unix.Open("/proc/thread-self/ns/net", unix.O_CLOEXEC, 0)
				made[i].rt, _ = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
			}
		})
	}
	wg.Wait()
	return made
}

type floorMsg []byte

func (m floorMsg) u32(v uint32) floorMsg { return binary.NativeEndian.AppendUint32(m, v) }
func (m floorMsg) u16(v uint16) floorMsg { return binary.NativeEndian.AppendUint16(m, v) }
func (m floorMsg) attr(kind uint16, v []byte) floorMsg {
	m = append(m.u16(uint16(4+len(v))).u16(kind), v...)
	for len(m)%4 != 0 {
		m = append(m, 0)
	}
	return m
}
func (m floorMsg) num(kind uint16, v uint32) floorMsg {
	return m.attr(kind, binary.NativeEndian.AppendUint32(nil, v))
}

func floorHead(kind, flags uint16) floorMsg {
	return floorMsg{}.u32(0).u16(kind).u16(flags | unix.NLM_F_REQUEST | unix.NLM_F_ACK).u32(1).u32(0)
}

func floorLink(index, flags, change uint32) floorMsg {
	return floorMsg{}.u32(0).u32(index).u32(flags).u32(change)
}

func (m floorMsg) sized() floorMsg {
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	return m
}

func floorSend(fd int, buf []byte, messages ...floorMsg) {
	var all []byte
	for _, m := range messages {
		all = append(all, m.sized()...)
	}
	if err := unix.Sendto(fd, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		panic(err)
	}
	for range messages {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			panic(err)
		}
		if code := int32(binary.NativeEndian.Uint32(buf[16:])); code != 0 {
			panic(fmt.Sprint("floor: ", unix.Errno(-code), " in ", n, " bytes"))
		}
	}
}

func floorEnd(m floorMsg, name string) floorMsg {
	return m.attr(unix.IFLA_IFNAME, append([]byte(name), 0)).num(unix.IFLA_NUM_TX_QUEUES, 1).num(unix.IFLA_NUM_RX_QUEUES, 1)
}

func floorPair(outer uint32, name string, master uint32, inner int) floorMsg {
	peer := floorEnd(floorLink(2, 0, 0), "lan").num(unix.IFLA_NET_NS_FD, uint32(inner))
	data := floorMsg{}.attr(1, peer)
	info := floorMsg{}.attr(unix.IFLA_INFO_KIND, []byte("veth\x00")).attr(unix.IFLA_INFO_DATA, data)
	m := append(floorHead(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL), floorLink(outer, unix.IFF_UP, unix.IFF_UP)...)
	m = floorEnd(m, name)
	if master != 0 {
		m = m.num(unix.IFLA_MASTER, master)
	}
	return m.attr(unix.IFLA_LINKINFO, info)
}

func floorUp(index uint32) floorMsg {
	return append(floorHead(unix.RTM_NEWLINK, 0), floorLink(index, unix.IFF_UP, unix.IFF_UP)...)
}

func floorAddr(index uint32, bits byte, addr ...byte) floorMsg {
	m := append(floorHead(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL), unix.AF_INET, bits, 0, 0)
	return m.u32(index).attr(unix.IFA_LOCAL, addr).attr(unix.IFA_ADDRESS, addr)
}

func floorDefault(via ...byte) floorMsg {
	m := append(floorHead(unix.RTM_NEWROUTE, unix.NLM_F_CREATE), unix.AF_INET, 0, 0, 0,
		unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, 0, unix.RTN_UNICAST)
	return m.u32(0).attr(unix.RTA_GATEWAY, via)
}

// floorRouted is the routed star.
func floorRouted(n int) []floorNS {
	made := floorNamespaces(n + 1)
	router, buf := made[n], make([]byte, 64<<10)
	for i := range n {
		floorSend(router.rt, buf, floorPair(uint32(10+i), fmt.Sprintf("w%d", i), 0, made[i].ns))
	}
	for i := range n {
		floorSend(router.rt, buf, floorAddr(uint32(10+i), 24, 10, byte(i>>8), byte(i), 2))
	}
	for i := range n {
		floorSend(made[i].rt, buf, floorUp(1), floorAddr(2, 24, 10, byte(i>>8), byte(i), 1), floorUp(2), floorDefault(10, byte(i>>8), byte(i), 2))
	}
	return made
}

// floorSwitched is the flat star.
func floorSwitched(n int) []floorNS {
	made := floorNamespaces(n + 1)
	fabric, buf := made[n], make([]byte, 64<<10)
	info := floorMsg{}.attr(unix.IFLA_INFO_KIND, []byte("bridge\x00"))
	bridge := append(floorHead(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL), floorLink(2, 0, 0)...)
	floorSend(fabric.rt, buf, bridge.attr(unix.IFLA_IFNAME, []byte("lan\x00")).attr(unix.IFLA_LINKINFO, info))
	for i := range n {
		floorSend(fabric.rt, buf, floorPair(uint32(10+i), fmt.Sprintf("h%d", i), 2, made[i].ns))
	}
	floorSend(fabric.rt, buf, floorUp(2))
	for i := range n {
		floorSend(made[i].rt, buf, floorUp(1), floorAddr(2, 16, 10, 0, byte((i+1)>>8), byte(i+1)), floorUp(2))
	}
	return made
}

func floorDown(made []floorNS) {
	for _, f := range made {
		f.close()
	}
}

// floorThread runs f on a thread that ends with it, and is not the main one: who
// is given that holds it until another is found.
func floorThread(f func()) {
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		held := make(chan bool)
		go func() {
			runtime.LockOSThread()
			close(held)
			f()
		}()
		<-held
		runtime.UnlockOSThread()
	}()
}
