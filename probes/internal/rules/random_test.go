package rules_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// The kernel is the judge: random rules count random packets that are really sent, at
// four hooks. RULES_ROUNDS=500 is the long run.
func TestMatchAgreesWithTheKernel(t *testing.T) {
	t.Parallel()
	rounds := 6
	if n, err := strconv.Atoi(os.Getenv("RULES_ROUNDS")); err == nil {
		rounds = n
	}
	network := topo.New("two")
	wire := network.Wire("w", "10.0.1.0/24", "fd00:1::/64")
	network.Host("a", wire)
	network.Host("b", wire)
	lab := harness.Up(t, network)
	c := &contest{t: t, a: lab.Node("a"), b: lab.Node("b"), random: rand.New(rand.NewPCG(rand.Uint64(), 1)), port: 10000}
	for range rounds {
		c.round()
	}
	t.Logf("%d rules asked: %d yes, %d no, %d maybe", c.said[yes]+c.said[no]+c.said[maybe], c.said[yes], c.said[no], c.said[maybe])
	if c.said[maybe] > (c.said[yes]+c.said[no])/4 {
		t.Error("too often it does not know")
	}
	for _, answer := range []rules.Answer{yes, no} {
		if c.said[answer] == 0 {
			t.Errorf("never said %s", answer)
		}
	}
}

type contest struct {
	t      *testing.T
	a, b   *harness.Node
	random *rand.Rand
	port   uint16
	said   [3]int
}

// shot is a packet to be sent, and what is known of it at each hook.
type shot struct {
	rules.Packet
	payload int
	mark    uint32
}

const quiet = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld2-listener-report } accept\n"

func (c *contest) round() {
	shots := make([]*shot, 12)
	for i := range shots {
		shots[i] = c.shot()
	}
	g := &generator{c.random, shots}
	for node, hooks := range map[*harness.Node][]string{c.a: {"output", "postrouting"}, c.b: {"prerouting", "input"}} {
		var text strings.Builder
		fmt.Fprint(&text, "flush ruleset\ntable inet t {\n")
		for _, hook := range hooks {
			fmt.Fprintf(&text, "chain %s {\ntype filter hook %s priority 0;\n%s", hook, hook, quiet)
			for range 40 {
				fmt.Fprintln(&text, g.rule(hook))
			}
			fmt.Fprint(&text, "counter\n}\n") // which has all that came past the others
		}
		c.load(node, text.String()+"}\n")
	}
	before := map[string][]uint64{}
	for _, s := range shots {
		c.send(s)
		for _, node := range []*harness.Node{c.a, c.b} {
			for _, chain := range read(c.t, node).Tables[0].Chains {
				c.judge(s, chain, before)
			}
		}
	}
}

// load loads rules without those that contradict themselves, which nft refuses.
func (c *contest) load(node *harness.Node, text string) {
	lines := strings.Split(text, "\n")
	for {
		err := node.Nft(strings.Join(lines, "\n"))
		if err == nil {
			return
		}
		refused := refusedLine.FindAllStringSubmatch(err.Error(), -1) // some of them
		if refused == nil {
			c.t.Fatal(err)
		}
		for _, found := range refused {
			number, _ := strconv.Atoi(found[1])
			lines[number-1] = ""
		}
	}
}

var refusedLine = regexp.MustCompile(`line (\d+):\d+-\d+: Error: conflicting protocols`)

// judge compares what Match says with which rules have counted.
func (c *contest) judge(s *shot, chain *inspect.Chain, before map[string][]uint64) {
	old := before[chain.Name]
	var now []uint64
	for i, rule := range chain.Rules[1:] {
		count := counted(rule)
		now = append(now, count)
		if old != nil {
			count -= old[i]
		}
		packet := s.at(chain.Hook)
		said := rules.Match(rule, packet)
		c.said[said]++
		if said == yes && count != 1 || said == no && count != 0 {
			c.t.Errorf("%s: said %s, counted %d of\n%s\n%s", rule, said, count, s, exprs(rule))
		}
	}
	before[chain.Name] = now
}

func counted(rule *inspect.Rule) uint64 {
	for _, e := range rule.Exprs {
		if counter, ok := e.(*expr.Counter); ok {
			return counter.Packets
		}
	}
	return 0
}

// at is the packet as it is known at a hook.
func (s *shot) at(hook string) rules.Packet {
	p := s.Packet
	p.In, p.Out, p.Mark = rules.Interface{Name: "w"}, rules.Interface{Name: "w"}, new(uint32(0))
	if hook == "output" || hook == "postrouting" {
		p.Mark, p.UID = &s.mark, new(uint32(os.Getuid()))
	}
	return p
}

func (s *shot) String() string {
	return fmt.Sprintf("%s -> %s protocol %d ports %d %d ttl %d tos %d payload %d mark %d", s.Src, s.Dst, *s.Protocol, *s.SrcPort, *s.DstPort, *s.TTL, *s.TOS, s.payload, s.mark)
}

// shot makes a packet with a source port, or ICMP id, of its own.
func (c *contest) shot() *shot {
	c.port++
	if c.port > 60000 {
		c.port = 10000
	}
	p := packet([]uint8{6, 17, 1}[c.random.IntN(3)], c.port, uint16([]int{1, 21, 22, 80, 443, 8080, 65535}[c.random.IntN(7)]))
	p.Src, p.Dst = c.a.Addr(), c.b.Addr()
	if c.random.IntN(2) == 0 {
		p.Src, p.Dst = c.addr6(c.a), c.addr6(c.b)
		if *p.Protocol == 1 {
			p.Protocol, p.Type = new(uint8(58)), new(uint8(128))
		}
	}
	p.TTL, p.TOS = new(uint8(1+c.random.IntN(255))), new([]uint8{0, 0x20, 0x2c, 0xb8}[c.random.IntN(4)])
	s := &shot{Packet: p, payload: c.random.IntN(300), mark: []uint32{0, 1, 7, 0x100, 0xffffffff}[c.random.IntN(5)]}
	s.Length = nil
	if *p.Protocol != 6 {
		head := 20
		if p.Src.Is6() {
			head = 40
		}
		s.Length = new(uint16(head + 8 + s.payload))
	}
	return s
}

func (c *contest) addr6(node *harness.Node) netip.Addr {
	for _, a := range node.Addrs() {
		if a.Is6() && !a.IsLinkLocalUnicast() {
			return a
		}
	}
	c.t.Fatal("no IPv6 address")
	return netip.Addr{}
}

// send sends it, and waits until the last rule of all has counted it. An answer may be lost: what kernels
// send by ICMP goes through one socket a processor for all namespaces.
func (c *contest) send(s *shot) {
	fd := c.socket(s)
	defer func() { _ = unix.Close(fd) }()
	before := c.arrived()
	if err := s.write(fd); err != nil {
		c.t.Fatalf("send %s: %v", s, err)
	}
	gomega.NewWithT(c.t).Eventually(c.arrived).WithTimeout(30*time.Second).WithPolling(time.Millisecond).Should(gomega.Equal(before+1), "what arrived of %s", s)
}

// arrived is how many packets came past all rules of input.
func (c *contest) arrived() uint64 {
	for _, chain := range read(c.t, c.b).Tables[0].Chains {
		if chain.Name == "input" {
			return counted(chain.Rules[len(chain.Rules)-1])
		}
	}
	c.t.Fatal("no chain input")
	return 0
}

// socket is one to send it from.
func (c *contest) socket(s *shot) int {
	c.t.Helper()
	var fd int
	err := c.a.Do(func() (err error) {
		family, kind, protocol := unix.AF_INET, map[uint8]int{6: unix.SOCK_STREAM, 17: unix.SOCK_DGRAM}[*s.Protocol], 0
		if s.Src.Is6() {
			family = unix.AF_INET6
		}
		if kind == 0 {
			kind, protocol = unix.SOCK_RAW, int(*s.Protocol)
		}
		fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	level, ttl, tos := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_TOS
	if s.Src.Is6() {
		level, ttl, tos = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS
	}
	for _, option := range [][3]int{{level, ttl, int(*s.TTL)}, {level, tos, int(*s.TOS)}, {unix.SOL_SOCKET, unix.SO_MARK, int(s.mark)}} {
		if err := unix.SetsockoptInt(fd, option[0], option[1], option[2]); err != nil {
			c.t.Fatal(err)
		}
	}
	return fd
}

// write sends it. TCP's connection may be refused at once.
func (s *shot) write(fd int) error {
	port := func(n uint16) int {
		if *s.Protocol == 6 || *s.Protocol == 17 {
			return int(n)
		}
		return 0
	}
	if err := unix.Bind(fd, sockaddr(s.Src, port(*s.SrcPort))); err != nil {
		return err
	}
	if err := unix.Connect(fd, sockaddr(s.Dst, port(*s.DstPort))); *s.Protocol == 6 && (err == unix.ECONNREFUSED || err == unix.EINPROGRESS) {
		return nil
	} else if err != nil {
		return err
	}
	data := make([]byte, s.payload)
	if *s.Protocol != 17 {
		data = append([]byte{*s.Type, 0, 0, 0, byte(*s.SrcPort >> 8), byte(*s.SrcPort), 0, 1}, data...)
		var sum uint32
		for i := 0; i+1 < len(data); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(data[i:]))
		}
		sum = sum>>16 + sum&0xffff
		binary.BigEndian.PutUint16(data[2:], ^uint16(sum+sum>>16))
	}
	_, err := unix.Write(fd, data)
	return err
}

func sockaddr(a netip.Addr, port int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	return &unix.SockaddrInet6{Addr: a.As16(), Port: port}
}
