package inspect

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// procNet is the calling thread's namespace: /proc/net would be that of the
// process's main thread.
const procNet = "/proc/thread-self/net/"

// Socket is a socket of any kind.
type Socket struct {
	Kind          string // tcp, tcp6, udp, udp6, icmp, icmp6, raw or raw6
	State         string // LISTEN, ESTABLISHED and so on; UNCONNECTED of a datagram socket
	Local, Remote netip.AddrPort
	// ToSend and ToRead are what is queued, in bytes; of one that listens, ToRead are
	// connections.
	ToSend, ToRead uint64
}

// String is the socket in a line.
func (s Socket) String() string {
	return fmt.Sprintf("%s %s %s peer %s queued to send %d, to read %d", s.Kind, s.State, s.Local, s.Remote, s.ToSend, s.ToRead)
}

var socketKinds = []string{"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "icmp", "icmp6", "raw", "raw6"}

// Sockets are those of the calling thread's namespace, by kind: of a kind as many as
// the kernel tells in so many bytes.
func Sockets(most int64) (all []Socket, err error) {
	sockstat, _ := os.ReadFile(procNet + "sockstat")
	sockstat6, _ := os.ReadFile(procNet + "sockstat6")
	count := string(sockstat) + string(sockstat6)
	for _, kind := range socketKinds {
		if strings.Contains(count, strings.ToUpper(kind)+": inuse 0") {
			continue // spared, since the kernel goes through the machine's whole table
		}
		file, err := os.Open(procNet + kind)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return all, err
		}
		text, err := io.ReadAll(io.LimitReader(file, most))
		_ = file.Close()
		if err != nil {
			return all, err
		}
		all = append(all, socketsOf(kind, string(text))...)
	}
	return all, nil
}

// socketsOf reads a table; its first line are the columns' names, and what is cut off
// is none.
func socketsOf(kind, table string) (all []Socket) {
	for line := range strings.Lines(table) {
		if socket, ok := socketOf(kind, line); ok {
			all = append(all, socket)
		}
	}
	return all
}

// tcpStates are those of the kernel's tcp_states.h, from 1 on. A datagram socket
// has the first when it is connected, the seventh when not.
var tcpStates = []string{
	"ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED",
	"CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "SYN-RECEIVED",
}

// socketOf reads a line: number, local and remote end, state, queues (proc(5)).
func socketOf(kind, line string) (Socket, bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 {
		return Socket{}, false
	}
	s := Socket{Kind: kind}
	var ok, ok2 bool
	s.Local, ok = procEnd(fields[1])
	s.Remote, ok2 = procEnd(fields[2])
	number, err := strconv.ParseUint(fields[3], 16, 8)
	if !ok || !ok2 || err != nil || number == 0 || int(number) > len(tcpStates) {
		return Socket{}, false
	}
	s.State = tcpStates[number-1]
	if !strings.HasPrefix(kind, "tcp") && s.State == "CLOSED" {
		s.State = "UNCONNECTED"
	}
	_, _ = fmt.Sscanf(fields[4], "%x:%x", &s.ToSend, &s.ToRead)
	return s, true
}

// procEnd reads an address and port: 32-bit words as this machine has them in
// memory, then the port (of a raw socket the protocol), all in hexadecimal.
func procEnd(text string) (netip.AddrPort, bool) {
	words, port, ok := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, false
	}
	var bytes []byte
	for ; len(words) >= 8; words = words[8:] {
		word, err := strconv.ParseUint(words[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		bytes = binary.NativeEndian.AppendUint32(bytes, uint32(word))
	}
	addr, ok := netip.AddrFromSlice(bytes)
	return netip.AddrPortFrom(addr, uint16(number)), ok
}
