package probes

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// replyTo is the reply to a request as a socket of that sort reads it.
func replyTo(e *echoes, request []byte) []byte {
	reply := slices.Clone(request)
	reply[0] = echoReply4
	if e.v6 {
		reply[0] = echoReply6
	}
	if e.bare && !e.v6 {
		header := make([]byte, 24) // with an option
		header[0] = 4<<4 | 6
		reply = append(header, reply...)
	}
	return reply
}

func sorts() []*echoes {
	return []*echoes{{id: 7}, {id: 7, v6: true}, {id: 7, bare: true}, {id: 7, v6: true, bare: true}}
}

func TestAnAnswerIsToThisVeryRequest(t *testing.T) {
	t.Parallel()
	for _, e := range sorts() {
		header := 0
		if e.bare && !e.v6 {
			header = 24
		}
		request := slices.Clone(e.request(defaultSize, newNonce()))
		if !e.answers(replyTo(e, request), request) {
			t.Errorf("%+v: its own reply", e)
		}
		next := e.request(defaultSize, [nonceSize]byte(request[echoHeader:]))
		if e.answers(replyTo(e, request), next) {
			t.Errorf("%+v: the reply to the request before", e)
		}
		for what, at := range map[string]int{"type": 0, "sequence number": 7, "nonce": echoHeader + nonceSize - 1} {
			reply := replyTo(e, request)
			reply[header+at] ^= 1
			if e.answers(reply, request) {
				t.Errorf("%+v: another %s", e, what)
			}
		}
		reply := replyTo(e, request)
		reply[header+5] ^= 1
		if e.answers(reply, request) == e.bare {
			t.Errorf("%+v: another id, which a ping socket's kernel checks, and a raw socket's does not", e)
		}
		if e.answers(request, request) {
			t.Errorf("%+v: the request itself", e)
		}
		if whole := replyTo(e, request); e.answers(whole[:header+echoHeader+nonceSize-1], request) {
			t.Errorf("%+v: a reply that is cut short", e)
		}
	}
}

func TestAnErrorIsAboutThisVeryRequest(t *testing.T) {
	t.Parallel()
	for _, e := range sorts() {
		request := e.request(defaultSize, newNonce())
		for _, quoted := range []int{echoHeader, echoHeader + 3, echoHeader + nonceSize, len(request)} {
			if !e.about(queued{packet: request[:quoted]}, request) {
				t.Errorf("%+v: %d bytes of it", e, quoted)
			}
		}
		for what, at := range map[string]int{"type": 0, "sequence number": 6, "nonce": echoHeader} {
			other := slices.Clone(request)
			other[at] ^= 1
			if e.about(queued{packet: other}, request) {
				t.Errorf("%+v: another %s", e, what)
			}
		}
		other := slices.Clone(request)
		other[4] ^= 1
		if e.about(queued{packet: other}, request) == e.bare {
			t.Errorf("%+v: another id", e)
		}
		if e.about(queued{packet: request[:echoHeader-1]}, request) {
			t.Errorf("%+v: less than a header", e)
		}
	}
}

// The error of an earlier request is not that of the next, which is sent.
func TestSendTriesAgain(t *testing.T) {
	t.Parallel()
	node := harness.Up(t, flat("alone", 2)).Nodes()[0]
	fd, err := (&asking{from: node, probe: UDP(9), addr: node.Addr()}).socket()
	if err != nil {
		t.Fatal(err)
	}
	s, err := polled(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	e := &echoes{socket: s, in: make([]byte, echoSeen)}
	closed := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}
	if err := unix.Sendto(fd, []byte("x"), 0, closed); err != nil {
		t.Fatal(err)
	}
	if !ready(fd, 0) { // port unreachable is there when sending returns
		t.Fatal("the control: no error is pending")
	}
	asked, heard := 0, 0
	count := func() bool {
		asked++
		if e.forget() {
			heard++
			return true
		}
		return false
	}
	if err := e.send([]byte("y"), closed, count); err != nil || asked != 1 || heard != 1 {
		t.Errorf("%v, asked %d, heard %d", err, asked, heard)
	}
	e.forget()
	asked, heard = 0, 0
	nowhere := &unix.SockaddrInet4{Addr: [4]byte{203, 0, 113, 1}, Port: 9}
	if err := e.send([]byte("z"), nowhere, count); err != unix.ENETUNREACH || asked != sendTries-1 || heard != 0 {
		t.Errorf("an error of its own: %v, asked %d, heard %d", err, asked, heard)
	}
	asked = 0
	if err := e.send(make([]byte, 9000), &unix.SockaddrInet4{Addr: [4]byte{10, 0, 0, 2}, Port: 9}, count); err != unix.EMSGSIZE || asked != sendTries-1 {
		t.Errorf("one that the kernel puts into the queue as well: %v, asked %d, heard %d", err, asked, heard)
	}
	asked = 0
	if err := e.send([]byte("z"), nowhere, func() bool { asked++; return true }); err != unix.ENETUNREACH || asked != sendLimit-1 {
		t.Errorf("errors without end: %v, asked %d", err, asked)
	}
}

// checksum is the Internet checksum (RFC 1071).
func checksum(packet []byte) uint16 {
	var sum uint32
	for len(packet) >= 2 {
		sum += uint32(binary.BigEndian.Uint16(packet))
		packet = packet[2:]
	}
	if len(packet) == 1 {
		sum += uint32(packet[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	// The example of RFC 1071, section 3, whose sum is ddf2.
	if got := checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != ^uint16(0xddf2) {
		t.Errorf("%04x", got)
	}
	for _, size := range []int{requestSize, 25, 56, 1001, maxSize} {
		packet := (&echoes{}).request(size, newNonce())
		if got := checksum(packet); got != 0 {
			t.Errorf("%d bytes: with its checksum in it a packet's is zero, not %04x", size, got)
		}
	}
}

// A round's numbers are its tasks' places: the first is zero.
func TestRequestNumbers(t *testing.T) {
	t.Parallel()
	e := &echoes{id: 0xabcd}
	for want := range 3 {
		request := e.request(defaultSize, newNonce())
		if got := binary.BigEndian.Uint16(request[6:]); int(got) != want+1 || binary.BigEndian.Uint16(request[4:]) != 0xabcd {
			t.Errorf("%x", request[:echoHeader])
		}
	}
}

// FuzzAnswers: nothing but a reply with the request's number and nonce is an
// answer, and no packet is too short or too odd to look at.
func FuzzAnswers(f *testing.F) {
	nonce := [nonceSize]byte{1, 2, 3}
	for i, e := range sorts() {
		f.Add(i, replyTo(e, e.request(requestSize, nonce)))
		f.Add(i, []byte{0x4f})
	}
	f.Fuzz(func(t *testing.T, i int, packet []byte) {
		e := sorts()[uint(i)%4]
		request := e.request(requestSize, nonce)
		stripped, ok := e.stripped(packet)
		if ok && len(stripped) > len(packet) {
			t.Fatal("it grew")
		}
		_ = e.about(queued{packet: packet}, request)
		if !e.answers(packet, request) {
			return
		}
		if !ok || len(stripped) < echoHeader+nonceSize || !slices.Equal(stripped[echoHeader:echoHeader+nonceSize], nonce[:]) ||
			binary.BigEndian.Uint16(stripped[6:]) != 1 {
			t.Errorf("%+v: answered by %x", e, packet)
		}
	})
}
