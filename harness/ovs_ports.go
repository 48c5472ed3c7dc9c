package harness

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// ownInterfaces is how many interfaces Open vSwitch may make for itself: one for each switch,
// and for each datapath.
const ownInterfaces = 1 << 10

// makeOVS makes the Open vSwitches of the switches' ends that are there, with their VLANs, in
// one transaction, and returns when ovs-vswitchd has done it.
func (s *site) makeOVS() error {
	if s.ovs == nil {
		return nil
	}
	<-s.ovs.started
	if s.ovs.err != nil {
		return s.ovs.err
	}
	args := []string{"--timeout=30"}
	var ends []spot
	for i := range s.plan.Segments {
		segment := &s.plan.Segments[i]
		if segment.Kind != topo.KindOVS {
			continue
		}
		args = append(args, "--", "add-br", segment.Bridge, "--", "set", "bridge", segment.Bridge, "datapath_type="+s.ovs.datapath, "fail_mode=standalone")
		vlans := vlansOf(s.plan, segment, s.chosen)
		for _, ref := range segment.Ports {
			args = append(args, "--", "add-port", segment.Bridge, ref.Outer)
			if vlans != nil {
				args = append(args, vlans[spot{ref.Node, ref.Port}].columns()...)
			}
			ends = append(ends, spot{ref.Node, ref.Port})
		}
		for _, patch := range segment.Patches {
			args = append(args, "--", "add-port", segment.Bridge, patch.Name)
			if vlans != nil {
				args = append(args, patchColumns...)
			}
			args = append(args, "--", "set", "interface", patch.Name, "type=patch", "options:peer="+patch.Peer)
		}
	}
	if _, err := s.ovs.run("ovs-vsctl", args...); err != nil {
		return err
	}
	s.fabricNext += ownInterfaces // which the kernel gives numbers that nobody in the fabric has
	if s.ovs.datapath == "system" {
		return nil
	}
	return s.checksum(ends)
}

// patchColumns have a patch port of a switch with VLANs carry all, and VLAN 1 without a tag, in which
// ports are that have none.
var patchColumns = []string{"tag=1", "vlan_mode=native-untagged"}

// columns are what the database has of a port that carries VLANs (ovs-vswitchd.conf.db(5)).
func (c carried) columns() (columns []string) {
	trunks := make([]string, len(c.tagged))
	for i, id := range c.tagged {
		trunks[i] = strconv.Itoa(id)
	}
	if c.untagged != 0 {
		columns = append(columns, "tag="+strconv.Itoa(c.untagged))
	}
	if len(trunks) > 0 {
		columns = append(columns, "trunks="+strings.Join(trunks, ","))
	}
	switch {
	case c.untagged != 0 && len(trunks) > 0:
		return append(columns, "vlan_mode=native-untagged")
	case c.untagged != 0:
		return append(columns, "vlan_mode=access")
	}
	return append(columns, "vlan_mode=trunk")
}

// notOffloaded are the ports of these that are planned so, those of a node one after the other.
func (s *site) notOffloaded(ports []spot) (ends []spot) {
	for _, where := range ports {
		if port, has := s.owners[where.node].Port(where.port); has && port.NoOffload {
			ends = append(ends, where)
		}
	}
	return ends
}

// checksum has nodes put whole checksums into what they send by ports: frames that pass user
// space are read as they are, and nothing completes them there.
func (s *site) checksum(ends []spot) error {
	if len(ends) == 0 {
		return nil
	}
	return once(func() error { return nil }, func() error {
		fd := -1
		defer func() {
			if fd >= 0 {
				_ = unix.Close(fd)
			}
		}()
		in := ""
		for _, end := range ends {
			if in != end.node {
				if fd >= 0 {
					_ = unix.Close(fd)
				}
				err := s.grounds[end.node].enter()
				if err == nil {
					fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
				}
				if err != nil {
					fd = -1
					return at(err, "node %s", end.node)
				}
				in = end.node
			}
			if err := txChecksumOff(fd, end.port); err != nil {
				return at(err, "node %s: port %s: leave no checksum to the other end", end.node, end.port)
			}
		}
		return nil
	})
}

// txChecksumOff is ethtool -K PORT tx off.
func txChecksumOff(fd int, port string) error {
	const setTxChecksum = 0x17 // ETHTOOL_STXCSUM, linux/ethtool.h
	value := struct{ command, data uint32 }{command: setTxChecksum}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data *struct{ command, data uint32 }
		_    [16]byte // struct ifreq is larger
	}{data: &value}
	if len(port) >= unix.IFNAMSIZ {
		return fmt.Errorf("interface %s: the name is too long", port)
	}
	copy(request.name[:], port)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}

// onOVS says whether an interface is a port of an Open vSwitch.
func (s *site) onOVS(at spot) bool {
	if s.ovs == nil {
		return false
	}
	node, has := s.plan.Node(at.node)
	if !has {
		return false
	}
	port, is := node.Port(at.port)
	if !is {
		return false
	}
	segment, _ := s.plan.Segment(port.Wired())
	return segment != nil && segment.Kind == topo.KindOVS
}

// giveFlows gives the Open vSwitches the flows that were declared: when the network works,
// since what makes sure of that could not pass them.
func (s *site) giveFlows() error {
	for i := range s.plan.Segments {
		segment := &s.plan.Segments[i]
		for _, flow := range segment.Flows {
			if _, err := s.ovs.run("ovs-ofctl", "add-flow", segment.Bridge, flow); err != nil {
				return at(err, "segment %s: flow %q", segment.Name, flow)
			}
		}
		if len(segment.Flows) > 0 {
			if _, err := s.ovs.ask("revalidator/purge"); err != nil {
				return at(err, "segment %s", segment.Name)
			}
		}
	}
	return nil
}
