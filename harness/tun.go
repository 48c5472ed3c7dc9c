package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness/internal/device"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

const tunPath = "/dev/net/tun"

// openTun opens an interface of the calling thread's namespace for its packets, each a Read,
// without a header before them. With an index it is made, and stays when it is closed.
func openTun(name string, mode uint16, index int) (*os.File, error) {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: modprobe tun, and let this user read and write it", tunPath, err)
	}
	err = attachTun(fd, name, mode, index)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func attachTun(fd int, name string, mode uint16, index int) error {
	if index != 0 {
		if err := unix.IoctlSetPointerInt(fd, unix.TUNSETIFINDEX, index); err != nil {
			return err
		}
		mode |= unix.IFF_TUN_EXCL
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(mode | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil || index == 0 {
		return err
	}
	return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
}

// makeTuns makes the interfaces of a node that programs open.
func (g *ground) makeTuns(devices ...*topo.DevicePlan) error {
	var own []*topo.DevicePlan
	for _, d := range devices {
		if opens(d.Kind) != 0 {
			own = append(own, d)
		}
	}
	if len(own) == 0 {
		return nil
	}
	return once(g.enter, func() error {
		for _, d := range own {
			file, err := openTun(d.Name, opens(d.Kind), d.Index)
			if err != nil {
				return at(err, "make %s %s", d.Kind, d.Name)
			}
			_ = file.Close()
		}
		return nil
	})
}

// settleTuns waits for what the kernel has of interfaces that nobody has open yet.
func (s *site) settleTuns() error {
	for i := range s.plan.Nodes {
		node := &s.plan.Nodes[i]
		for j := range node.Devices {
			if d := &node.Devices[j]; opens(d.Kind) != 0 {
				if err := s.grounds[node.Name].settleTun(d); err != nil {
					return at(err, "%s: %s", title(node), d.Name)
				}
			}
		}
	}
	return nil
}

func (g *ground) settleTun(d *topo.DevicePlan) error {
	if noIPv6() {
		return nil
	}
	return g.settled(d.Index, addrsOf(d.Addrs)...)
}

// opens is how an interface of a kind is opened; 0 for one that is none of /dev/net/tun.
func opens(name string) uint16 {
	if name == topo.PortKind {
		return 0
	}
	kind, err := device.Of(name)
	if err != nil {
		return 0 // none that was made
	}
	return kind.Opens
}

// OpenTun opens an interface that the node has of topo's Tun or Tap. Each Read of the file is
// a packet, or frame, that the node sends there, whose checksums are whole, and each Write one
// that it gets. It returns when the interface has its carrier, and its addresses work. Only
// one has it open at a time. A program may be handed the file (Cmd.ExtraFiles). It is closed
// when the lab goes down.
func (n *Node) OpenTun(name string) (*os.File, error) {
	n = n.here()
	file, err := n.openTun(name)
	if err != nil {
		return nil, at(err, "node %s: open %s", n.name, name)
	}
	n.lab.OnDown(func() { _ = file.Close() })
	return file, nil
}

func (n *Node) openTun(name string) (file *os.File, err error) {
	if err := n.lab.ours(); err != nil {
		return nil, err
	}
	d, has := n.planned().Device(name)
	if !has || opens(d.Kind) == 0 {
		return nil, errNoTun
	}
	err = once(n.ground.enter, func() (err error) {
		file, err = openTun(name, opens(d.Kind), 0)
		return err
	})
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("%w: somebody has it open already", err)
	case err != nil:
		return nil, err
	}
	if err := n.awaitTun(d); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// awaitTun returns when a first packet passes on an interface that was opened.
func (n *Node) awaitTun(d *topo.DevicePlan) error {
	start := time.Now()
	active, err := n.ground.isActive(d.Index)
	for ; !active && err == nil; active, err = n.ground.isActive(d.Index) {
		if time.Since(start) > controlBound {
			return fmt.Errorf("the kernel has not acted on its carrier after %s", controlBound)
		}
		pause(controlPause)
	}
	if err != nil {
		return err
	}
	own := n.lab.now().site.linkLocals(spot{n.name, d.Name})
	return n.ground.usable(d.Index, append(own, addrsOf(d.Addrs)...)...)
}

// isActive says whether an interface has a carrier that the kernel has acted upon: until then it
// has no queue (noop), and what is sent there is lost.
func (g *ground) isActive(index int) (bool, error) {
	b := &batch{keep: true}
	b.getLink(index, describe("look at link"))
	if err := g.rtnl.do(b); err != nil {
		return false, err
	}
	const flags, attributes = unix.NLMSG_HDRLEN + 8, unix.NLMSG_HDRLEN + unix.SizeofIfInfomsg
	for _, answer := range b.answers {
		if len(answer) < attributes || binary.NativeEndian.Uint16(answer[4:]) != unix.RTM_NEWLINK || binary.NativeEndian.Uint32(answer[flags:])&unix.IFF_LOWER_UP == 0 {
			continue
		}
		list, err := netlink.NewAttributeDecoder(answer[attributes:])
		if err != nil {
			return false, err
		}
		for list.Next() {
			if list.Type() == unix.IFLA_QDISC {
				return list.String() != "noop", nil
			}
		}
	}
	return false, nil
}

// Opened holds when a program has an interface open that the node has of topo's Tun or Tap, and
// a first packet passes there.
func Opened(name string) Ready {
	return Ready{
		what: "having " + name + " open",
		check: func(p *program) error {
			n := p.cmd.node
			d, _ := n.planned().Device(name)
			active, err := n.ground.isActive(d.Index)
			if err == nil && !active {
				err = errors.New("nobody has")
			}
			if err != nil {
				return err
			}
			return n.awaitTun(d)
		},
		before: func(p *program) error {
			if d, has := p.cmd.node.planned().Device(name); !has || opens(d.Kind) == 0 {
				return fmt.Errorf("%s: %w", name, errNoTun)
			}
			return nil
		},
	}
}

var errNoTun = errors.New("the node has no such interface of Tun or Tap: declare it")

// serveBound is how long a function that serves an interface may go on when the lab is down.
const serveBound = 5 * time.Second

// ServeTun has a function of the test serve an interface that the node has of topo's Tun or
// Tap: see OpenTun for what it reads and writes. When the lab goes down reading ends with
// os.ErrClosed; when the function returns, the interface loses its carrier. The test fails with the
// function's error, unless that is of a lab that went down. A twin of the lab calls the
// function once more, for its own interface.
func (n *Node) ServeTun(name string, serve func(packets io.ReadWriter) error) error {
	n = n.here()
	if serve == nil {
		return at(errNoFunction, "node %s: serve %s", n.name, name)
	}
	return n.did(at(n.serveTun(name, serve), "serve %s", name), func(n *Node) error { return n.serveTun(name, serve) })
}

func (n *Node) serveTun(name string, serve func(packets io.ReadWriter) error) error {
	file, err := n.openTun(name)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		defer file.Close()
		ended <- serve(file)
	}()
	n.lab.OnDown(func() {
		_ = file.Close()
		select {
		case err = <-ended:
		case <-time.After(serveBound):
			err = fmt.Errorf("it goes on %s after the lab went down: end it when reading fails", serveBound)
		}
		if err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, unix.EBADFD) { // that is of an interface which was taken away
			n.lab.test().Errorf("node %s: what serves %s: %v", n.name, name, err)
		}
	})
	return nil
}

// test is the lab's; a twin has it once it is made.
func (l *Lab) test() TB {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tb
}

// setTun gives an interface that was opened what others get when they are made. One without
// frames makes up no address by itself, which would be by chance.
func (b *batch) setTun(d *topo.DevicePlan, what func() string) {
	const modeNone = 1 // IN6_ADDR_GEN_MODE_NONE, linux/if_link.h
	b.begin(unix.RTM_NEWLINK, 0, ifinfo(d.Index, 0, 0))
	if d.MAC != [6]byte{} {
		b.attr(unix.IFLA_ADDRESS, d.MAC[:])
	}
	if d.MTU != 0 {
		b.u32(unix.IFLA_MTU, uint32(d.MTU))
	}
	if d.MAC == [6]byte{} && !noIPv6() {
		families := b.nest(unix.IFLA_AF_SPEC)
		ipv6 := b.nest(unix.AF_INET6)
		b.attr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{modeNone})
		ipv6()
		families()
	}
	b.end(what)
}

// holdTuns has a twin's interfaces of Tun and Tap open where the lab's are, by whomever: what
// the kernel has at an interface depends on its carrier.
func (l *Lab) holdTuns(twin *Lab) error {
	for _, node := range l.now().nodes {
		other := twin.now().byName[node.name]
		for _, d := range node.planned().Devices {
			if opens(d.Kind) == 0 {
				continue
			}
			mine, err := node.ground.isUp(d.Index)
			if err != nil {
				return err
			}
			its, err := other.ground.isUp(d.Index)
			if err != nil {
				return err
			}
			if mine && !its {
				if _, err := other.OpenTun(d.Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
