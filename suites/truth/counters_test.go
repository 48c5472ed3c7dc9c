package truth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
)

// count is what the kernels of a lab have counted: by node, and by the counter's
// name in /proc/net/snmp and snmp6. Nothing is opened or loaded for it, so a lab
// under test does not change.
type count map[string]map[string]int64

func counted(lab *harness.Lab) (count, error) {
	m := lab.Keep(metersKey{}, func() any { return openMeters(lab) }).(meters)
	all := count{}
	for _, at := range m.of {
		if all[at.node] == nil {
			all[at.node] = map[string]int64{}
		}
		text, err := at.read()
		if err != nil {
			return nil, fmt.Errorf("counters of %s: %w", at.node, err)
		}
		if at.v6 {
			readSNMP6(all[at.node], text)
		} else {
			readSNMP(all[at.node], text)
		}
	}
	return all, m.err
}

type metersKey struct{}

// meters are the files in which kernels tell what they have counted. They stay open: to
// go into a namespace for each reading would be most of what a try costs.
type meters struct {
	of  []meter
	err error
}

type meter struct {
	node string
	v6   bool
	file *os.File
}

func openMeters(lab *harness.Lab) (m meters) {
	for _, node := range lab.Nodes() {
		m.err = errors.Join(m.err, node.Do(func() error {
			for _, name := range []string{"snmp", "snmp6"} {
				file, err := os.Open("/proc/thread-self/net/" + name)
				if os.IsNotExist(err) && name == "snmp6" {
					continue // a kernel without IPv6
				}
				if err != nil {
					return err
				}
				m.of = append(m.of, meter{node.Name(), name == "snmp6", file})
			}
			return nil
		}))
	}
	lab.OnDown(func() {
		for _, at := range m.of {
			_ = at.file.Close()
		}
	})
	return m
}

// read is what is in the file now, whole: it is told in one piece where there is room.
func (m meter) read() (string, error) {
	buf := make([]byte, 1<<14)
	n, err := m.file.ReadAt(buf, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(buf[:n]), err
}

// readSNMP reads pairs of lines: names, and values.
func readSNMP(counters map[string]int64, text string) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j := 1; j < min(len(names), len(values)); j++ {
			n, _ := strconv.ParseInt(values[j], 10, 64)
			counters[strings.TrimSuffix(names[0], ":")+names[j]] = n
		}
	}
}

func readSNMP6(counters map[string]int64, text string) {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 2 {
			counters[fields[0]], _ = strconv.ParseInt(fields[1], 10, 64)
		}
	}
}

// moved is by how much a counter of a node rose.
func (before count) moved(after count, node string, names ...string) (n int64) {
	for _, name := range names {
		n += after[node][name] - before[node][name]
	}
	return n
}

// delivered is how many packets of a kind were delivered at a node, to a socket or
// to the kernel's own reply: after the node's input rules.
func (before count) delivered(after count, node, kind string) int64 {
	switch kind {
	case icmp:
		return before.moved(after, node, "IcmpInEchos", "Icmp6InEchos")
	case tcp:
		return before.moved(after, node, "TcpInSegs")
	}
	// Datagrams are counted when they are read; so all, but what is not UDP.
	v4 := before.moved(after, node, "IpInDelivers") - before.moved(after, node, "IcmpInMsgs")
	v6 := before.moved(after, node, "Ip6InDelivers") - before.moved(after, node, "Icmp6InMsgs")
	return v4 + v6 - before.moved(after, node, "TcpInSegs")
}

// ruleCounters are the packets that the rules of a node have counted, by family,
// table, chain and handle; -1 of a rule without a counter.
func ruleCounters(node *harness.Node) (map[string]int64, error) {
	text, err := node.Command("nft", "list", "tables").Output()
	if err != nil {
		return nil, fmt.Errorf("nft list tables at %s: %w", node, err)
	}
	counters := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		table := strings.Fields(line)
		if len(table) < 3 || strings.HasPrefix(table[2], "nstest-") {
			continue
		}
		// One table by itself: of one that a process owns nft 1.0.6 writes half.
		out, err := node.Command("nft", "-j", "list", "table", table[1], table[2]).Output()
		if err == nil {
			err = readCounters(out, counters)
		}
		if err != nil {
			return nil, fmt.Errorf("nft -j list table %s %s at %s: %w", table[1], table[2], node, err)
		}
	}
	return counters, nil
}

func readCounters(out []byte, counters map[string]int64) error {
	var listing struct {
		Nftables []struct {
			Rule *struct {
				Family, Table, Chain string
				Handle               uint64
				Expr                 []map[string]json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(out, &listing); err != nil {
		return err
	}
	for _, item := range listing.Nftables {
		if item.Rule == nil {
			continue
		}
		id := ruleID(item.Rule.Family, item.Rule.Table, item.Rule.Chain, item.Rule.Handle)
		counters[id] = -1
		for _, e := range item.Rule.Expr {
			var c struct{ Packets int64 }
			if text, ok := e["counter"]; ok && json.Unmarshal(text, &c) == nil {
				counters[id] = c.Packets
			}
		}
	}
	return nil
}

func ruleID(family, table, chain string, handle uint64) string {
	return fmt.Sprintf("%s %s %s %d", family, table, chain, handle)
}
