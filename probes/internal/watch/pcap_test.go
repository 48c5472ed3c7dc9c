package watch

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// captured is a frame as a reader of the file has it.
type captured struct {
	where    string
	protocol layers.EthernetType
	kind     layers.LinuxSLLPacketType
	flags    pcapgo.NgEpbFlag
	at       time.Time
	length   int // on the link
	packet   gopacket.Packet
}

// readPcap reads a file back, and the names of its interfaces.
func readPcap(t *testing.T, file []byte) (frames []captured, interfaces []string) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{ErrorOnMismatchingLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, ci, options, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		port, err := r.Interface(ci.InterfaceIndex)
		if err != nil || port.LinkType != layers.LinkTypeLinuxSLL2 || port.TimestampResolution != 9 {
			t.Fatalf("interface %+v, %v", port, err)
		}
		packet := gopacket.NewPacket(data, layers.LayerTypeLinuxSLL2, gopacket.Default)
		sll, ok := packet.LinkLayer().(*layers.LinuxSLL2)
		if !ok {
			t.Fatalf("no cooked header: %v", packet)
		}
		f := captured{port.Name, sll.ProtocolType, layers.LinuxSLLPacketType(sll.PacketType), 0, ci.Timestamp, ci.Length - sll2Length, packet}
		if options.Flags != nil {
			f.flags = options.Flags.Direction
		}
		frames = append(frames, f)
	}
	for i := range r.NInterfaces() {
		port, _ := r.Interface(i)
		interfaces = append(interfaces, port.Name)
	}
	return frames, interfaces
}

// captureOf watches a datagram on its way through a router, and writes what was heard.
func captureOf(t *testing.T) (file []byte, began time.Time) {
	t.Helper()
	network := topo.New("office")
	lan, dmz := network.Wire("lan", "10.0.1.0/24"), network.Wire("dmz", "10.0.2.0/24")
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz)
	lab := harness.Up(t, network)
	client, server := lab.Node("client"), lab.Node("server")
	to := netip.AddrPortFrom(server.Addr(), 53)
	listener, err := server.ListenPacket(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	began = time.Now()
	flow := wire.Flow{From: "client", To: "server", Addr: to.Addr(), Protocol: wire.UDP, Port: to.Port()}
	watch, err := Of(lab)
	if err != nil {
		t.Fatal(err)
	}
	trail, err := watch.Follow(flow)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := client.Dial(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	payload := append([]byte(wire.RequestWord), trail.Flow.Nonce[:]...)
	if _, err := conn.Write(append(payload, make([]byte, 1000)...)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := listener.ReadFrom(make([]byte, 1500)); err != nil {
		t.Fatal(err)
	}
	awaitSightings(t, watch, trail, 4)
	var out bytes.Buffer
	if err := watch.WritePcap(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), began
}

// awaitSightings waits until so much was seen: on a busy machine taps are read late.
func awaitSightings(t *testing.T, watch *Watch, trail *Trail, want int) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		seen := watch.Timeline(trail)
		if len(seen) >= want {
			return
		}
		select {
		case <-trail.changed:
		case <-late:
			t.Errorf("the watch saw %d of %d:\n%s", len(seen), want, seen)
			return
		}
	}
}

func TestPcapHasWhatTheWatchHeard(t *testing.T) {
	t.Parallel()
	file, began := captureOf(t)
	frames, interfaces := readPcap(t, file)
	want := []string{"client/lo", "client/lan", "server/lo", "server/dmz", "fw/lo", "fw/lan", "fw/dmz"}
	if !slices.Equal(interfaces, want) {
		t.Errorf("interfaces %v, want %v", interfaces, want)
	}
	var way, asked []string
	last := began
	for _, f := range frames {
		if f.at.Before(last) || f.at.After(time.Now()) {
			t.Errorf("%s: at %s, after %s", f.where, f.at, last)
		}
		last = f.at
		direction := map[pcapgo.NgEpbFlag]string{pcapgo.NgEpbFlagDirectionInbound: "in", pcapgo.NgEpbFlagDirectionOutbound: "out"}[f.flags]
		if out := f.kind == layers.LinuxSLLPacketTypeOutgoing; out != (direction == "out") {
			t.Errorf("%s: %s, and the cooked header says %v", f.where, direction, f.kind)
		}
		switch {
		case f.protocol == layers.EthernetTypeARP:
			asked = append(asked, f.where)
		case f.packet.Layer(layers.LayerTypeUDP) != nil:
			way = append(way, f.where+" "+direction)
			if f.length != 20+8+len(wire.RequestWord)+wire.NonceSize+1000 {
				t.Errorf("%s: %d bytes", f.where, f.length)
			}
		}
	}
	if want := []string{"client/lan out", "fw/lan in", "fw/dmz out", "server/dmz in"}; !slices.Equal(way, want) {
		t.Errorf("the datagram went %v, want %v", way, want)
	}
	for _, want := range []string{"client/lan", "fw/lan", "fw/dmz", "server/dmz"} {
		if !slices.Contains(asked, want) {
			t.Errorf("no ARP at %s; there is at %v", want, asked)
		}
	}
}

// Wireshark's own reader agrees.
func TestPcapOpensInWireshark(t *testing.T) {
	harness.Require(t, harness.Tool("tshark"))
	t.Parallel()
	file, _ := captureOf(t)
	path := filepath.Join(t.TempDir(), "capture.pcapng")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tshark", "-r", path, "-d", "udp.port==53,data", "-T", "fields", "-E", "separator=,",
		"-e", "frame.interface_name", "-e", "frame.packet_flags_direction", "-e", "sll.pkttype", "-e", "frame.protocols", "-e", "udp.dstport")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	for _, want := range []string{
		"client/lan,0x00000002,4,sll:ethertype:ip:udp:data,53\n", "fw/lan,0x00000001,0,sll:ethertype:ip:udp:data,53\n",
		"fw/dmz,0x00000002,4,sll:ethertype:ip:udp:data,53\n", "server/dmz,0x00000001,0,sll:ethertype:ip:udp:data,53\n",
		"fw/lan,0x00000001,1,sll:ethertype:arp,\n", // broadcast
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
}

func TestCaptureKeepsTheNewest(t *testing.T) {
	var c Capture
	const size, fit = 200_000, captureBound / (200_000 + frameCost)
	for i := range fit + 3 {
		c.keep(verdict.End{Node: "a", Interface: "lan"}, &frame{at: time.Unix(int64(i), 0), protocol: unix.ETH_P_IP, data: make([]byte, size)})
	}
	var out bytes.Buffer
	if err := c.WritePcap(&out); err != nil {
		t.Fatal(err)
	}
	frames, _ := readPcap(t, out.Bytes())
	if len(frames) != fit || !frames[0].at.Equal(time.Unix(3, 0)) || !frames[fit-1].at.Equal(time.Unix(fit+2, 0)) {
		t.Errorf("%d of %d frames, the first of %s", len(frames), fit, frames[0].at)
	}
	if !bytes.Contains(out.Bytes(), []byte("3 older frames did not fit.")) {
		t.Error("it does not say that something is missing")
	}
}

func TestCaptureOfNowhere(t *testing.T) {
	var one, none Capture
	var out bytes.Buffer
	if err := none.WritePcap(&out); err == nil {
		t.Error("a capture from nowhere was written")
	}
	one.listen(verdict.End{Node: "a", Interface: "lo"})
	if err := one.WritePcap(failing{}); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// The header's layout is that of the capture library's own documentation.
func TestCookedHeader(t *testing.T) {
	f := frame{protocol: unix.ETH_P_ARP, index: 0x01020304, hardwareType: unix.ARPHRD_ETHER, kind: unix.PACKET_BROADCAST, hardware: [6]byte{1, 2, 3, 4, 5, 6}}
	want := []byte{8, 6, 0, 0, 1, 2, 3, 4, 0, 1, 1, 6, 1, 2, 3, 4, 5, 6, 0, 0}
	if got := sll2(f); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
	for name, c := range map[string]struct {
		frame
		want int
	}{
		"IPv4": {frame{protocol: unix.ETH_P_IP, data: udp(ap(client4, 1), ap(server4, 2), make([]byte, 100))}, 128},
		"IPv6": {frame{protocol: unix.ETH_P_IPV6, data: udp(ap(client6, 1), ap(server6, 2), make([]byte, 100))}, 148},
		"ARP":  {f, 0},
		"cut":  {frame{protocol: unix.ETH_P_IP, data: []byte{0x45}}, 0},
	} {
		if got := c.length(); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}
