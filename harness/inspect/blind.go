package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BlindSpots reads from a namespace what taps and traced rules cannot see of a packet: who
// else may have got it, and where one may wait. Its sockets stay open, for a look takes
// some 50 us so. All of it may be used from several goroutines.
type BlindSpots struct {
	mu    sync.Mutex
	route int
	diag  int
	xfrm  int
	proc  int            // the directory net/netfilter, whose files come with modules
	files map[string]int // those that are there, open: to open one takes as long as all else of a look
	seq   uint32
	buf   []byte
}

// OpenBlindSpots opens the sockets in the calling thread's namespace.
func OpenBlindSpots() (*BlindSpots, error) {
	b := &BlindSpots{route: -1, diag: -1, xfrm: -1, proc: -1, files: map[string]int{}, buf: make([]byte, 64<<10)}
	for _, s := range []struct {
		fd       *int
		protocol int
	}{{&b.route, unix.NETLINK_ROUTE}, {&b.diag, unix.NETLINK_SOCK_DIAG}, {&b.xfrm, unix.NETLINK_XFRM}} {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, s.protocol)
		if err == unix.EPROTONOSUPPORT && s.protocol == unix.NETLINK_XFRM {
			continue // this kernel has none
		}
		if err != nil {
			b.Close()
			return nil, fmt.Errorf("open netlink: %w", err)
		}
		*s.fd = fd
	}
	var err error
	if b.proc, err = unix.Open("/proc/thread-self/net/netfilter", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		b.Close()
		return nil, fmt.Errorf("open net/netfilter: %w", err)
	}
	return b, nil
}

// Close closes the sockets.
func (b *BlindSpots) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fd := range []*int{&b.route, &b.diag, &b.xfrm, &b.proc} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
	for file, fd := range b.files {
		_ = unix.Close(fd)
		delete(b.files, file)
	}
}

// Look names what cannot be seen into, in words: "2 packet sockets of other programs",
// "a queue of interface 3 holds 3 packets". Packet sockets that own says are the caller's,
// by their inode number, are none.
func (b *BlindSpots) Look(own func(inode uint64) bool) (spots []string, err error) {
	sockets, first := b.Sockets(own, false)
	standing, queues, second := b.Standing()
	waiting, third := []string(nil), error(nil)
	if queues {
		waiting, third = b.Waiting()
	}
	return slices.Concat(sockets, standing, waiting), errors.Join(first, second, third)
}

// Sockets are those of them by which programs get packets, or by which the kernel sends them
// on as others: xfrm that encrypts, IPVS. ownLog says that it is the caller
// who reads what is logged to group 0.
func (b *BlindSpots) Sockets(own func(inode uint64) bool, ownLog bool) ([]string, error) {
	return b.collect(func(add func(string, ...any)) error {
		return errors.Join(b.packetSockets(own, add), b.encrypts(add), b.balances(add),
			b.readers("nfnetlink_log", func(group string) {
				if group != "0" || !ownLog {
					add("a program reads what rules log to group %s", group)
				}
			}),
			b.readers("nfnetlink_queue", func(queue string) { add("a program reads queue %s", queue) }))
	})
}

// readers looks for programs that get what rules log or queue: a line each, which begins
// with the number of the group or queue. They get it also when the rules then drop it.
func (b *BlindSpots) readers(file string, each func(number string)) error {
	return b.lines(file, func(fields []string) { each(fields[0]) })
}

// lines reads a file of the namespace, relative to net/netfilter: of each line that is not
// empty its fields. A file that is not there has none: its module is not loaded.
func (b *BlindSpots) lines(file string, each func(fields []string)) error {
	n, err := b.read(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b.buf[:n])) {
		if fields := strings.Fields(line); len(fields) > 0 {
			each(fields)
		}
	}
	return nil
}

// read reads a file into the buffer, anew. One that was open may be gone since, with its module.
func (b *BlindSpots) read(file string) (n int, err error) {
	if b.proc < 0 {
		return 0, nil
	}
	if fd, open := b.files[file]; open {
		if n, err = unix.Pread(fd, b.buf, 0); err == nil {
			return n, nil
		}
		_ = unix.Close(fd)
		delete(b.files, file)
	}
	fd, err := unix.Openat(b.proc, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: file, Err: err}
	}
	b.files[file] = fd
	if n, err = unix.Pread(fd, b.buf, 0); err != nil {
		return 0, &os.PathError{Op: "read", Path: file, Err: err}
	}
	return n, nil
}

// Standing are those that stay until somebody changes a link or its tc: XDP programs, and
// filters. queues says whether packets may wait at an interface at all.
func (b *BlindSpots) Standing() (spots []string, queues bool, err error) {
	spots, err = b.collect(func(add func(string, ...any)) error {
		return errors.Join(b.programs(add), b.qdiscs(func(index uint32, kind string, _ uint32) {
			switch kind {
			case "clsact", "ingress":
				add("tc filters at interface %d", index)
			case "noqueue":
			default:
				queues = true
			}
		}))
	})
	return spots, queues, err
}

// Waiting are the queues that hold packets.
func (b *BlindSpots) Waiting() ([]string, error) {
	return b.collect(func(add func(string, ...any)) error {
		return b.qdiscs(func(index uint32, _ string, waiting uint32) {
			if waiting > 0 {
				add("a queue of interface %d holds %d packets", index, waiting)
			}
		})
	})
}

func (b *BlindSpots) collect(look func(add func(string, ...any)) error) (spots []string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err = look(func(format string, args ...any) { spots = append(spots, fmt.Sprintf(format, args...)) })
	return spots, err
}

// packetSockets looks for packet sockets (linux/packet_diag.h): they get packets
// before any rule, and may send them on. One of no protocol gets none.
func (b *BlindSpots) packetSockets(own func(uint64) bool, add func(string, ...any)) error {
	const requestSize, protocolOffset, inodeOffset, messageSize = 20, 2, 4, 16
	request := make([]byte, requestSize)
	request[0] = unix.AF_PACKET
	foreign := 0
	err := b.dump(b.diag, unix.SOCK_DIAG_BY_FAMILY, request, func(data []byte) {
		if len(data) >= messageSize && binary.NativeEndian.Uint16(data[protocolOffset:]) != 0 && !own(uint64(binary.NativeEndian.Uint32(data[inodeOffset:]))) {
			foreign++
		}
	})
	if foreign > 0 {
		add("%d packet sockets of other programs", foreign)
	}
	if errors.Is(err, unix.ENOENT) { // this kernel has no packet_diag
		add("whether another program has a packet socket cannot be told")
		return nil
	}
	return err
}

// qdiscs tells of each queue: its interface, kind, and how many packets it holds.
func (b *BlindSpots) qdiscs(each func(index uint32, kind string, waiting uint32)) error {
	const (
		header, kindOf, queue = 20, 1, 3 // struct tcmsg, TCA_KIND (linux/rtnetlink.h), TCA_STATS_QUEUE (linux/gen_stats.h)
		queueSize             = 8        // of its beginning: qlen, backlog
	)
	return b.dump(b.route, unix.RTM_GETQDISC, make([]byte, header), func(data []byte) {
		if len(data) < header {
			return
		}
		kind, waiting := "", uint32(0)
		for attr, value := range attributes(data[header:]) {
			switch attr {
			case kindOf:
				kind = unix.ByteSliceToString(value)
			case unix.TCA_STATS2:
				for stat, value := range attributes(value) {
					if stat == queue && len(value) >= queueSize {
						waiting = binary.NativeEndian.Uint32(value)
					}
				}
			}
		}
		each(binary.NativeEndian.Uint32(data[4:]), kind, waiting)
	})
}

// programs looks for XDP programs: they come before all else.
func (b *BlindSpots) programs(add func(string, ...any)) error {
	const header = unix.SizeofIfInfomsg
	return b.dump(b.route, unix.RTM_GETLINK, make([]byte, header), func(data []byte) {
		if len(data) < header {
			return
		}
		name, has := "", false
		for attr, value := range attributes(data[header:]) {
			switch attr {
			case unix.IFLA_IFNAME:
				name = unix.ByteSliceToString(value)
			case unix.IFLA_XDP:
				for kind, value := range attributes(value) {
					has = has || kind == unix.IFLA_XDP_ATTACHED && len(value) > 0 && value[0] != 0
				}
			}
		}
		if has {
			add("an XDP program at %s", name)
		}
	})
}

// dump asks for all of a kind, and hands each to each.
func (b *BlindSpots) dump(fd int, kind uint16, body []byte, each func([]byte)) error {
	if fd < 0 {
		return unix.EBADF
	}
	b.seq++
	err := exchange(fd, b.seq, b.buf, kind, unix.NLM_F_DUMP, body, each)
	if errors.Is(err, netlink.ErrDumpInterrupted) { // who came meanwhile came too late for what is asked about
		return nil
	}
	return err
}

// attributes are the netlink attributes in data.
func attributes(data []byte) func(yield func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(data) >= unix.SizeofNlAttr {
			length, kind := int(binary.NativeEndian.Uint16(data)), binary.NativeEndian.Uint16(data[2:])
			if length < unix.SizeofNlAttr || length > len(data) {
				return
			}
			if !yield(kind&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), data[unix.SizeofNlAttr:length]) {
				return
			}
			data = data[min((length+3)&^3, len(data)):]
		}
	}
}
