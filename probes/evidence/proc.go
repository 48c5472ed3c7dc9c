package evidence

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readProc reads what netlink does not tell. The calling thread is in the node's
// namespace; /proc/net would be that of the process's main thread.
func (s *State) readProc() error {
	const dir = "/proc/thread-self/net/"
	s.Counters = map[string]int64{}
	for _, file := range []string{"snmp", "netstat"} {
		text, _ := os.ReadFile(dir + file)
		addPairs(s.Counters, string(text))
	}
	text, _ := os.ReadFile(dir + "snmp6") // there is none without IPv6
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 2 {
			s.Counters[fields[0]], _ = strconv.ParseInt(fields[1], 10, 64)
		}
	}
	for _, file := range []string{"ip_tables_names", "ip6_tables_names"} {
		names, _ := os.ReadFile(dir + file)
		s.Legacy = s.Legacy || len(names) > 0
	}
	s.TCP, s.UDP = map[uint16]bool{}, map[uint16]bool{}
	const listening, unconnected = "0A", "07" // net/tcp_states.h: TCP_LISTEN, TCP_CLOSE
	for file, ports := range map[string]map[uint16]bool{"tcp": s.TCP, "tcp6": s.TCP, "udp": s.UDP, "udp6": s.UDP} {
		text, _ := os.ReadFile(dir + file)
		state := listening
		if strings.HasPrefix(file, "udp") {
			state = unconnected
		}
		addPorts(ports, string(text), state)
	}
	keys := []string{
		"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/rp_filter",
		"net/ipv4/icmp_echo_ignore_all", "net/ipv6/icmp/echo_ignore_all",
	}
	for _, l := range s.Links {
		keys = append(keys, "net/ipv4/conf/"+l.Name+"/rp_filter", "net/ipv4/conf/"+l.Name+"/forwarding",
			"net/ipv6/conf/"+l.Name+"/forwarding", "net/ipv6/conf/"+l.Name+"/disable_ipv6",
			"net/ipv6/conf/"+l.Name+"/force_forwarding") // there is none before Linux 6.17
	}
	for _, key := range keys {
		if value, err := os.ReadFile("/proc/sys/" + key); err == nil {
			s.Sysctls[key] = strings.TrimSpace(string(value))
		}
	}
	return nil
}

// readListeners reads the listening sockets. The calling thread is in the node's
// namespace.
func (s *State) readListeners() error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := netlink.SocketDiagTCP(family)
		if err != nil {
			return err
		}
		for _, socket := range sockets {
			if socket.State == netlink.TCP_LISTEN {
				s.Listeners = append(s.Listeners, ListenerState{socket.ID.SourcePort, socket.RQueue, socket.WQueue})
			}
		}
	}
	return nil
}

// addPairs reads pairs of lines, names and numbers: "Ip: A B", "Ip: 1 2".
func addPairs(counters map[string]int64, text string) {
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j := 1; j < len(names) && j < len(values); j++ {
			counters[strings.TrimSuffix(names[0], ":")+"."+names[j]], _ = strconv.ParseInt(values[j], 10, 64)
		}
	}
}

// addPorts reads the local ports of sockets in a state (proc_net_tcp).
func addPorts(ports map[uint16]bool, text, state string) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		_, port, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(port, 16, 16); err == nil {
			ports[uint16(n)] = true
		}
	}
}

func prefixOf(n net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if bits == 128 && addr.Is4In6() {
		return netip.PrefixFrom(addr, ones)
	}
	return netip.PrefixFrom(addr.Unmap(), ones)
}
