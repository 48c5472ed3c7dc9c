package faults_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// heard is one datagram that came to a plain socket.
type heard struct {
	Number uint32
	After  time.Duration // since it was sent
	At     time.Time     // when the kernel had it, however late it was read
}

// judge are two plain sockets: one sends numbered datagrams, the other writes down what it reads.
type judge struct {
	sender net.Conn
	reader *net.UDPConn
	size   int
	sent   []time.Time
	heard  []heard
}

func judges(from, to *harness.Node, size int) *judge {
	GinkgoHelper()
	listener, err := to.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(to.Addrs()[0], 0))
	Expect(err).NotTo(HaveOccurred())
	reader := listener.(*net.UDPConn)
	raw, err := reader.SyscallConn()
	Expect(err).NotTo(HaveOccurred())
	Expect(raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})).To(Succeed())
	Expect(err).NotTo(HaveOccurred())
	sender, err := from.Dial(context.Background(), "udp", netip.MustParseAddrPort(reader.LocalAddr().String()))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(sender.Close()).To(Succeed()); Expect(reader.Close()).To(Succeed()) })
	return &judge{sender: sender, reader: reader, size: size}
}

// first says whether the first of all comes within a time.
func (j *judge) first(within time.Duration) bool {
	GinkgoHelper()
	_, err := j.sender.Write(j.datagram(0))
	Expect(err).NotTo(HaveOccurred())
	Expect(j.reader.SetReadDeadline(time.Now().Add(within))).To(Succeed())
	n, _, err := j.reader.ReadFrom(make([]byte, j.size))
	return err == nil && n == j.size
}

// send sends a row of datagrams, in parts that sockets have room for, and reads until nothing
// comes any more for a time.
func (j *judge) send(count int, quiet time.Duration) {
	GinkgoHelper()
	const atOnce = 100
	for count > 0 {
		for range min(count, atOnce) {
			j.sent = append(j.sent, time.Now())
			_, err := j.sender.Write(j.datagram(len(j.sent) - 1))
			Expect(err).NotTo(HaveOccurred())
		}
		count -= atOnce
		j.read(quiet)
	}
}

const numberSize = 4

func (j *judge) datagram(number int) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(number)), bytes.Repeat([]byte{0xa5}, j.size-numberSize)...)
}

// read reads until nothing has come for a time; a pause of this process is none of the way's.
func (j *judge) read(quiet time.Duration) {
	GinkgoHelper()
	const paused = 2 // times as long
	buf, control := make([]byte, 1<<16), make([]byte, 128)
	for {
		began := time.Now()
		Expect(j.reader.SetReadDeadline(began.Add(quiet))).To(Succeed())
		n, size, _, _, err := j.reader.ReadMsgUDP(buf, control)
		if err != nil {
			Expect(err).To(MatchError(os.ErrDeadlineExceeded))
			if time.Since(began) > paused*quiet {
				continue
			}
			return
		}
		number := binary.BigEndian.Uint32(buf)
		Expect(buf[:n]).To(Equal(j.datagram(int(number))), "what was sent")
		at := stampOf(control[:size])
		j.heard = append(j.heard, heard{number, at.Sub(j.sent[number]), at})
	}
}

// stampOf is when the kernel had a datagram (SO_TIMESTAMPNS).
func stampOf(control []byte) time.Time {
	GinkgoHelper()
	messages, err := unix.ParseSocketControlMessage(control)
	Expect(err).NotTo(HaveOccurred())
	Expect(messages).To(ConsistOf(HaveField("Header.Type", int32(unix.SCM_TIMESTAMPNS))))
	stamp := messages[0].Data
	Expect(stamp).To(HaveLen(16))
	return time.Unix(int64(binary.NativeEndian.Uint64(stamp)), int64(binary.NativeEndian.Uint64(stamp[8:])))
}

// counts are how many of what was sent came not, more than once, and after a later one.
func (j *judge) counts() (lost, twice, late int) {
	times, last := map[uint32]int{}, uint32(0)
	for _, h := range j.heard {
		times[h.Number]++
		if h.Number < last && times[h.Number] == 1 {
			late++
		}
		last = max(last, h.Number)
	}
	for number := range j.sent {
		switch times[uint32(number)] {
		case 0:
			lost++
		case 1:
		default:
			twice++
		}
	}
	return lost, twice, late
}

// took is how long so many that came one after another took at least: a busy machine makes
// some of them slower, and never all.
func (j *judge) took(some int) time.Duration {
	least := time.Duration(math.MaxInt64)
	for i := some; i < len(j.heard); i++ {
		least = min(least, j.heard[i].At.Sub(j.heard[i-some].At))
	}
	return least
}
