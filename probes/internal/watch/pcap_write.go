package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/nstest/nstest/probes/internal/verdict"
	"golang.org/x/sys/unix"
)

// WritePcap writes the capture as pcapng, for Wireshark and its like: in order of
// time, with an interface for each that was listened at, named node/interface. A
// tap has no Ethernet header; so a frame has that of Linux "cooked" captures
// (LINKTYPE_LINUX_SLL2), which says which way it went, whose it was and from which
// MAC it came, of ARP as well.
func (c *Capture) WritePcap(out io.Writer) error {
	c.mu.Lock()
	where, frames, forgotten := slices.Clone(c.where), slices.Clone(c.frames), c.forgotten
	c.mu.Unlock()
	slices.SortStableFunc(frames, func(a, b heardFrame) int { return a.at.Compare(b.at) })
	numbers := make(map[verdict.End]int, len(where))
	for i, end := range where {
		numbers[end] = i
	}
	for _, f := range frames {
		if _, ok := numbers[f.where]; !ok {
			numbers[f.where] = len(where)
			where = append(where, f.where)
		}
	}
	if len(where) == 0 {
		return errors.New("write capture: nowhere was listened")
	}
	w, err := pcapWriter(out, where, forgotten)
	if err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	for _, f := range frames {
		if err := writeFrame(w, numbers[f.where], f.frame); err != nil {
			return fmt.Errorf("write capture: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}

// pcapWriter begins a file: a section, and its interfaces in order.
func pcapWriter(out io.Writer, where []verdict.End, forgotten int) (*pcapgo.NgWriter, error) {
	section := pcapgo.NgSectionInfo{Hardware: runtime.GOARCH, OS: "Linux", Application: "nstest"}
	if forgotten > 0 {
		section.Comment = fmt.Sprintf("%d older frames did not fit.", forgotten)
	}
	var w *pcapgo.NgWriter
	for i, end := range where {
		port := pcapgo.NgInterface{
			Name: end.Node + "/" + end.Interface, OS: "Linux",
			LinkType: layers.LinkTypeLinuxSLL2, SnapLength: sll2Length + snapLength,
		}
		var err error
		if i == 0 {
			w, err = pcapgo.NewNgWriterInterface(out, port, pcapgo.NgWriterOptions{SectionInfo: section})
		} else {
			_, err = w.AddInterface(port)
		}
		if err != nil {
			return nil, err
		}
	}
	return w, nil
}

func writeFrame(w *pcapgo.NgWriter, number int, f frame) error {
	data := append(sll2(f), f.data...)
	flags := &pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}
	if f.out() {
		flags.Direction = pcapgo.NgEpbFlagDirectionOutbound
	}
	return w.WritePacketWithOptions(gopacket.CaptureInfo{
		Timestamp: f.at, InterfaceIndex: number, CaptureLength: len(data), Length: sll2Length + max(f.length(), len(f.data)),
	}, data, pcapgo.NgPacketOptions{Flags: flags})
}

// length is how long the packet was on the link, as its IP header has it; 0 for
// what has none.
func (f frame) length() int {
	switch {
	case f.protocol == unix.ETH_P_IP && len(f.data) >= 4:
		return int(binary.BigEndian.Uint16(f.data[2:]))
	case f.protocol == unix.ETH_P_IPV6 && len(f.data) >= 6:
		return 40 + int(binary.BigEndian.Uint16(f.data[4:]))
	}
	return 0
}

const sll2Length = 20

// sll2 is the header of a cooked capture: protocol, two bytes of nothing, the
// interface's index and kind of hardware, the kind of packet, and the length and
// bytes of the sender's address, all in network order
// (https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html).
func sll2(f frame) []byte {
	header := make([]byte, 0, sll2Length+len(f.data))
	header = binary.BigEndian.AppendUint16(header, f.protocol)
	header = append(header, 0, 0)
	header = binary.BigEndian.AppendUint32(header, uint32(f.index))
	header = binary.BigEndian.AppendUint16(header, f.hardwareType)
	header = append(header, f.kind, byte(len(f.hardware)))
	return append(append(header, f.hardware[:]...), 0, 0)
}
