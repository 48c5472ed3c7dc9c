package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// rtnl is a route netlink socket of one namespace. It is made by a thread that
// is there, and used from anywhere: a socket stays in its namespace.
type rtnl struct {
	mu   sync.Mutex
	fd   int
	buf  []byte
	sent int // requests so far: a test bounds what a lab may take
}

// openRTNL opens the socket in the calling thread's namespace.
func openRTNL() (*rtnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, at(err, "open route netlink socket")
	}
	// Acknowledgements without the request's copy, errors with the kernel's own words.
	for _, option := range []int{unix.NETLINK_CAP_ACK, unix.NETLINK_EXT_ACK} {
		_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, 1)
	}
	return &rtnl{fd: fd}, nil
}

func (r *rtnl) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
		r.fd = -1
	}
}

// batch is a row of requests that go to the kernel together.
type batch struct {
	buf   []byte
	start int
	what  []func() string // what each request does, for the error
	ends  []int

	keep    bool         // the answers are wanted
	answers [][]byte     // what was answered but for acknowledgements
	refused map[int]bool // the requests that were, by number
	asked   int          // how many were sent
}

// took says whether the kernel did what a request says.
func (b *batch) took(i int) bool { return i < b.asked && !b.refused[i] }

// ackedAtOnce bounds the requests of one send: their acknowledgements wait in
// the socket's receive buffer, 212,992 bytes by default, with up to 4 KiB of data each.
const ackedAtOnce = 32

// begin opens a request of the given type; header is the struct after nlmsghdr.
func (b *batch) begin(kind, flags uint16, header []byte) {
	b.start = len(b.buf)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, 0) // length, set by end
	b.buf = binary.NativeEndian.AppendUint16(b.buf, kind)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, uint32(len(b.what)+1)) // sequence number
	b.buf = binary.NativeEndian.AppendUint32(b.buf, 0)                     // the kernel
	b.buf = append(b.buf, header...)
}

func (b *batch) end(what func() string) {
	binary.NativeEndian.PutUint32(b.buf[b.start:], uint32(len(b.buf)-b.start))
	b.what = append(b.what, what)
	b.ends = append(b.ends, len(b.buf))
}

func (b *batch) attr(kind uint16, value []byte) {
	b.buf = binary.NativeEndian.AppendUint16(b.buf, uint16(4+len(value)))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, kind)
	b.buf = append(b.buf, value...)
	for len(b.buf)%4 != 0 {
		b.buf = append(b.buf, 0)
	}
}

func (b *batch) u32(kind uint16, value uint32) {
	b.attr(kind, binary.NativeEndian.AppendUint32(nil, value))
}

func (b *batch) text(kind uint16, value string) { b.attr(kind, append([]byte(value), 0)) }

func (b *batch) addr(kind uint16, a netip.Addr) { b.attr(kind, a.AsSlice()) }

// nest opens an attribute that holds others; the returned func closes it.
func (b *batch) nest(kind uint16, header ...byte) func() {
	from := len(b.buf)
	b.attr(kind, header)
	return func() { binary.NativeEndian.PutUint16(b.buf[from:], uint16(len(b.buf)-from)) }
}

// do sends the batch and reads every acknowledgement. The error is that of the
// first request that the kernel refused, with what it was for.
func (r *rtnl) do(b *batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return errDown
	}
	sent := 0
	for first := 0; first < len(b.what); first += ackedAtOnce {
		last := min(first+ackedAtOnce, len(b.what))
		if err := unix.Sendto(r.fd, b.buf[sent:b.ends[last-1]], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return at(err, "%s", b.what[first]())
		}
		sent = b.ends[last-1]
		r.sent += last - first
		b.asked = last
		if err := r.acknowledged(b, last-first); err != nil {
			return err
		}
	}
	return nil
}

// acknowledged reads the answers of n requests, data of a GET among them.
func (r *rtnl) acknowledged(b *batch, n int) error {
	if r.buf == nil {
		r.buf = make([]byte, 32<<10)
	}
	var refused error
	for n > 0 {
		got, _, err := unix.Recvfrom(r.fd, r.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return at(err, "read netlink answer")
		}
		for msg := r.buf[:got]; len(msg) >= unix.NLMSG_HDRLEN; {
			length := int(binary.NativeEndian.Uint32(msg))
			if length < unix.NLMSG_HDRLEN || length > len(msg) {
				return fmt.Errorf("netlink answer of %d bytes in a datagram of %d", length, len(msg))
			}
			if binary.NativeEndian.Uint16(msg[4:]) == unix.NLMSG_ERROR {
				n--
				seq := int(binary.NativeEndian.Uint32(msg[8:]))
				if err := ackError(msg[:length]); err != nil && seq >= 1 && seq <= len(b.what) {
					b.refuses(seq - 1)
					if refused == nil {
						refused = at(err, "%s", b.what[seq-1]())
					}
				}
			} else if b.keep {
				b.answers = append(b.answers, bytes.Clone(msg[:length]))
			}
			msg = msg[min((length+3)&^3, len(msg)):]
		}
	}
	return refused
}

func (b *batch) refuses(i int) {
	if b.refused == nil {
		b.refused = map[int]bool{}
	}
	b.refused[i] = true
}

// ackError is the error in an NLMSG_ERROR, with the kernel's own words when it
// has any (NLMSGERR_ATTR_MSG).
func ackError(msg []byte) error {
	code := -int32(binary.NativeEndian.Uint32(msg[16:]))
	if code == 0 {
		return nil
	}
	errno := unix.Errno(code)
	if binary.NativeEndian.Uint16(msg[6:])&unix.NLM_F_ACK_TLVS == 0 {
		return errno
	}
	attrs := msg[min(36, len(msg)):] // nlmsghdr, error, and the capped request's header
	for len(attrs) >= 4 {
		length, kind := int(binary.NativeEndian.Uint16(attrs)), binary.NativeEndian.Uint16(attrs[2:])
		if length < 4 || length > len(attrs) {
			break
		}
		if kind == unix.NLMSGERR_ATTR_MSG {
			return fmt.Errorf("%w (%s)", errno, unix.ByteSliceToString(attrs[4:length]))
		}
		attrs = attrs[min((length+3)&^3, len(attrs)):]
	}
	return errno
}
