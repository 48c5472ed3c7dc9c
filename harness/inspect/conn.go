package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/mdlayher/netlink"
	vishvananda "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// conn asks for what the netlink library has no words for. It is of the namespace that
// the thread is in which opens it, and may be used from several goroutines.
type conn struct {
	mu  sync.Mutex
	fd  int // -1 when it is closed
	seq uint32
	buf []byte
}

func openConn() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerBound})
	return &conn{fd: fd, buf: make([]byte, 64<<10)}, nil
}

// answerBound is how long an answer may take, in seconds: an answer that was lost must not
// hang a test.
const answerBound = 5

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
	}
	c.fd = -1
}

// refusal is what the kernel answers where it does not do what it was asked for.
type refusal struct{ unix.Errno }

func (r refusal) Unwrap() error { return r.Errno }

// ask sends a request: the family's header, and attributes. A list is asked for anew where the
// kernel changed it under way. What the kernel refuses is a refusal.
func (c *conn) ask(kind, flags uint16, header []byte, attributes *netlink.AttributeEncoder) ([][]byte, error) {
	body := header
	if attributes != nil {
		encoded, err := attributes.Encode()
		if err != nil {
			return nil, err
		}
		body = append(body, encoded...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for tries := 0; ; tries++ {
		var answers [][]byte
		c.seq++
		err := exchange(c.fd, c.seq, c.buf, kind, flags, body, func(data []byte) { answers = append(answers, slices.Clone(data)) })
		if !errors.Is(err, vishvananda.ErrDumpInterrupted) || tries == mostTries {
			return answers, err
		}
	}
}

// exchange sends a request, and hands each part of the answer to each, until it is whole: of a
// list (NLM_F_DUMP in flags) all, else one. The error is the kernel's own as a refusal, or that of
// a socket. Where the kernel changed a list under way it is netlink.ErrDumpInterrupted.
func exchange(fd int, seq uint32, buf []byte, kind, flags uint16, body []byte, each func([]byte)) (err error) {
	if fd < 0 {
		return errClosed
	}
	m := binary.NativeEndian.AppendUint32(make([]byte, 0, unix.NLMSG_HDRLEN+len(body)), uint32(unix.NLMSG_HDRLEN+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|flags)
	m = binary.NativeEndian.AppendUint32(m, seq)
	m = append(binary.NativeEndian.AppendUint32(m, 0), body...)
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	var interrupted error
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("hear the kernel's answer: %w", err)
		}
		for rest := buf[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			length := int(binary.NativeEndian.Uint32(rest))
			if length < unix.NLMSG_HDRLEN || length > len(rest) {
				break
			}
			if binary.NativeEndian.Uint32(rest[8:]) == seq {
				if binary.NativeEndian.Uint16(rest[6:])&unix.NLM_F_DUMP_INTR != 0 {
					interrupted = vishvananda.ErrDumpInterrupted
				}
				data := rest[unix.NLMSG_HDRLEN:length]
				switch binary.NativeEndian.Uint16(rest[4:]) {
				case unix.NLMSG_DONE, unix.NLMSG_ERROR:
					return errors.Join(refused(data), interrupted)
				}
				each(data)
				if flags&unix.NLM_F_DUMP != unix.NLM_F_DUMP {
					return nil
				}
			}
			rest = rest[min((length+3)&^3, len(rest)):]
		}
	}
}

// refused is what the end of an answer says; nil where all is well.
func refused(data []byte) error {
	if len(data) >= 4 {
		if code := -int32(binary.NativeEndian.Uint32(data)); code > 0 {
			return refusal{unix.Errno(code)}
		}
	}
	return nil
}
