package watch

import (
	"encoding/binary"
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// nfnl is a netfilter netlink socket of one namespace, for requests: linux/netfilter/nfnetlink.h.
// It is made by a thread that is there, and used from anywhere.
type nfnl struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf []byte
}

// answerBound is how long an answer may take: an answer that was lost must not
// hang a test.
const answerBound = 5 // seconds

// openNfnl opens the socket in the calling thread's namespace.
func openNfnl() (*nfnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerBound})
	return &nfnl{fd: fd, buf: make([]byte, 64<<10)}, nil
}

func (s *nfnl) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

// message is a row of netlink messages under construction.
type message struct {
	buf   []byte
	start int
}

const nfgenmsg = 4 // the length of struct nfgenmsg

// begin opens a message of a family; resource is the last field of struct nfgenmsg.
func (m *message) begin(kind, flags uint16, seq uint32, family byte, resource uint16) {
	m.start = len(m.buf)
	m.buf = binary.NativeEndian.AppendUint32(m.buf, 0) // length, set by end
	m.buf = binary.NativeEndian.AppendUint16(m.buf, kind)
	m.buf = binary.NativeEndian.AppendUint16(m.buf, flags|unix.NLM_F_REQUEST)
	m.buf = binary.NativeEndian.AppendUint32(m.buf, seq)
	m.buf = binary.NativeEndian.AppendUint32(m.buf, 0) // the kernel
	m.buf = append(m.buf, family, unix.NFNETLINK_V0)
	m.buf = binary.BigEndian.AppendUint16(m.buf, resource)
}

func (m *message) end() {
	binary.NativeEndian.PutUint32(m.buf[m.start:], uint32(len(m.buf)-m.start))
}

func (m *message) attr(kind uint16, value []byte) {
	m.buf = binary.NativeEndian.AppendUint16(m.buf, uint16(unix.SizeofNlAttr+len(value)))
	m.buf = binary.NativeEndian.AppendUint16(m.buf, kind)
	m.buf = append(m.buf, value...)
	m.align()
}

func (m *message) align() {
	for len(m.buf)%unix.NLA_ALIGNTO != 0 {
		m.buf = append(m.buf, 0)
	}
}

func (m *message) u32(kind uint16, value uint32) {
	m.attr(kind, binary.BigEndian.AppendUint32(nil, value))
}

func (m *message) u64(kind uint16, value uint64) {
	m.attr(kind, binary.BigEndian.AppendUint64(nil, value))
}

func (m *message) text(kind uint16, value string) { m.attr(kind, append([]byte(value), 0)) }

// nest opens an attribute that holds others; the returned func closes it.
func (m *message) nest(kind uint16) func() {
	from := len(m.buf)
	m.attr(kind|unix.NLA_F_NESTED, nil)
	return func() { binary.NativeEndian.PutUint16(m.buf[from:], uint16(len(m.buf)-from)) }
}

var errNoAnswer = errors.New("netfilter does not answer")

// ask sends one request and hands each message of the answer to each: of a dump
// (NLM_F_DUMP in flags) all, else one. attrs adds the request's attributes; nil is
// none.
func (s *nfnl) ask(kind, flags uint16, family byte, attrs func(*message), each func(family byte, attrs []byte)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	var m message
	m.begin(kind, flags, s.seq, family, 0)
	if attrs != nil {
		attrs(&m)
	}
	m.end()
	if err := s.send(m.buf); err != nil {
		return err
	}
	dump := flags&unix.NLM_F_DUMP != 0
	return s.receive(func(seq uint32, kind uint16, data []byte) (done bool, err error) {
		switch {
		case seq != s.seq:
			return false, nil
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR:
			return true, errnoOf(data)
		case len(data) >= nfgenmsg:
			each(data[0], data[nfgenmsg:])
		}
		return !dump, nil
	})
}

func (s *nfnl) send(data []byte) error {
	if s.fd < 0 {
		return unix.EBADF
	}
	return unix.Sendto(s.fd, data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// receive reads answers until each says that it was the last.
func (s *nfnl) receive(each func(seq uint32, kind uint16, data []byte) (done bool, err error)) error {
	for {
		n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return errNoAnswer
		case err != nil:
			return err
		}
		for rest := s.buf[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			length := int(binary.NativeEndian.Uint32(rest))
			if length < unix.NLMSG_HDRLEN || length > len(rest) {
				break
			}
			done, err := each(binary.NativeEndian.Uint32(rest[8:]), binary.NativeEndian.Uint16(rest[4:]), rest[unix.NLMSG_HDRLEN:length])
			if done || err != nil {
				return err
			}
			rest = rest[min((length+3)&^3, len(rest)):]
		}
	}
}

// errnoOf is the error of an NLMSG_ERROR; nil for an acknowledgement.
func errnoOf(data []byte) error {
	if len(data) < 4 {
		return unix.EBADMSG
	}
	if code := -int32(binary.NativeEndian.Uint32(data)); code != 0 {
		return unix.Errno(code)
	}
	return nil
}

// batch is changes that the kernel makes together or not at all.
type batch struct {
	message
	seq uint32
}

func nftMessage(kind uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }

// add opens a change; end closes it.
func (b *batch) add(kind, flags uint16, family byte) {
	b.seq++
	b.begin(nftMessage(kind), flags, b.seq, family, 0)
}

// commit sends a batch. The error is that of the first change that was refused.
func (s *nfnl) commit(fill func(*batch)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &batch{seq: s.seq + 1}
	b.begin(unix.NFNL_MSG_BATCH_BEGIN, 0, b.seq, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	b.end()
	first := b.seq
	fill(b)
	last := b.seq
	// Errors come unasked; the last change is acknowledged, when all are made.
	flags := binary.NativeEndian.Uint16(b.buf[b.start+6:])
	binary.NativeEndian.PutUint16(b.buf[b.start+6:], flags|unix.NLM_F_ACK)
	b.begin(unix.NFNL_MSG_BATCH_END, 0, last+1, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	b.end()
	s.seq = last + 1
	if err := s.send(b.buf); err != nil {
		return err
	}
	return s.receive(func(seq uint32, kind uint16, data []byte) (bool, error) {
		if seq < first || seq > s.seq || kind != unix.NLMSG_ERROR {
			return false, nil
		}
		return seq == last, errnoOf(data)
	})
}

// generation is how often the rules of the namespace were changed.
func (s *nfnl) generation() (generation uint32, err error) {
	err = s.ask(nftMessage(unix.NFT_MSG_GETGEN), 0, unix.AF_UNSPEC, nil, func(_ byte, attrs []byte) {
		for kind, value := range attributes(attrs) {
			if kind == unix.NFTA_GEN_ID && len(value) == 4 {
				generation = binary.BigEndian.Uint32(value)
			}
		}
	})
	return generation, err
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

// stringOf is a string attribute.
func stringOf(value []byte) string { return unix.ByteSliceToString(value) }
