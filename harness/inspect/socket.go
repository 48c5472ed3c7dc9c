package inspect

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Listener is a listening socket: how many connections wait to be accepted, and how
// many may.
type Listener struct {
	Port          uint16
	Waiting, Most uint32
}

// procNet is the calling thread's namespace: /proc/net would be that of the
// process's main thread.
const procNet = "/proc/thread-self/net/"

// readNames reads whether there are tables of iptables-legacy. The calling thread
// is in the namespace.
func (s *State) readNames() {
	for _, file := range []string{"ip_tables_names", "ip6_tables_names"} {
		names, _ := os.ReadFile(procNet + file)
		s.Legacy = s.Legacy || len(names) > 0
	}
}

// readUDP reads the ports of sockets that are not connected. The calling thread is
// in the namespace.
func (s *State) readUDP() {
	s.UDP = map[uint16]bool{}
	for _, file := range []string{"udp", "udp6"} {
		text, _ := os.ReadFile(procNet + file)
		addPorts(s.UDP, string(text))
	}
}

// Listens says whether somebody listens at a TCP port.
func (s *State) Listens(port uint16) bool {
	return slices.ContainsFunc(s.Listeners, func(l Listener) bool { return l.Port == port })
}

// readListeners reads the listening TCP sockets (sock_diag(7)): only those, since the
// table of all others is the whole machine's. The calling thread is in the namespace.
func (s *State) readListeners() error {
	const (
		listen      = 1 << 10 // TCPF_LISTEN in net/tcp_states.h
		requestSize = 56      // struct inet_diag_req_v2
		messageSize = 72      // struct inet_diag_msg
	)
	s.Listeners = []Listener{}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		request := make([]byte, requestSize)
		request[0], request[1] = family, unix.IPPROTO_TCP
		binary.NativeEndian.PutUint32(request[4:], listen)
		r := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		r.AddRawData(request)
		err := r.ExecuteIter(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY, func(m []byte) bool {
			if len(m) >= messageSize {
				s.Listeners = append(s.Listeners, Listener{
					Port: binary.BigEndian.Uint16(m[4:]), Waiting: binary.NativeEndian.Uint32(m[56:]), Most: binary.NativeEndian.Uint32(m[60:]),
				})
			}
			return true
		})
		if err != nil {
			return fmt.Errorf("list listeners: %w", err)
		}
	}
	return nil
}

// addPorts reads the local ports of UDP sockets that anybody may send to, in the
// form of /proc/net/udp.
func addPorts(ports map[uint16]bool, text string) {
	const unconnected = "07" // TCP_CLOSE in net/tcp_states.h
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != unconnected {
			continue
		}
		_, port, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(port, 16, 16); err == nil {
			ports[uint16(n)] = true
		}
	}
}
