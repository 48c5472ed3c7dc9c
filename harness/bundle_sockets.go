package harness

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// sockets writes who listens, and what is connected. What the test itself has
// closed by now is not there any more.
func (s *state) sockets(w io.Writer) error {
	count := slurp("/proc/thread-self/net/sockstat") + slurp("/proc/thread-self/net/sockstat6")
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6", "icmp", "icmp6", "raw", "raw6"} {
		if strings.Contains(count, strings.ToUpper(kind)+": inuse 0") {
			continue // spared, since the kernel goes through the machine's whole table
		}
		file, err := own(kind)
		if err != nil {
			return err
		}
		if file == nil {
			continue
		}
		lines := bufio.NewScanner(io.LimitReader(file, tableBound))
		lines.Scan() // the columns' names
		for lines.Scan() {
			if text, ok := socketText(kind, lines.Text()); ok {
				fmt.Fprintln(w, text)
			}
		}
		_ = file.Close()
	}
	return nil
}

// tcpStates are those of the kernel's tcp_states.h, from 1 on. A datagram socket
// has the first when it is connected, the seventh when not.
var tcpStates = []string{
	"ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED",
	"CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "SYN-RECEIVED",
}

// socketText reads a line: number, local and remote end, state, queues (proc(5)).
func socketText(kind, line string) (string, bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 {
		return "", false
	}
	local, ok := procEnd(fields[1])
	remote, ok2 := procEnd(fields[2])
	number, err := strconv.ParseUint(fields[3], 16, 8)
	if !ok || !ok2 || err != nil || number == 0 || int(number) > len(tcpStates) {
		return "", false
	}
	state := tcpStates[number-1]
	if !strings.HasPrefix(kind, "tcp") && state == "CLOSED" {
		state = "UNCONNECTED"
	}
	var sending, received uint64
	_, _ = fmt.Sscanf(fields[4], "%x:%x", &sending, &received)
	return fmt.Sprintf("%s %s %s peer %s queued to send %d, to read %d", kind, state, local, remote, sending, received), true
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
