package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// KernelCounters reads what a namespace's kernel counts: /proc/net/snmp, netstat, snmp6 and
// xfrm_stat. Its
// files stay open, for a look takes some 100 us so. One goroutine may use it at a time.
type KernelCounters struct {
	files []*os.File
	buf   []byte
}

// counterFiles are those of the calling thread's namespace.
var counterFiles = []string{"snmp", "netstat", "snmp6", "xfrm_stat"}

// OpenKernelCounters opens the files of the calling thread's namespace.
func OpenKernelCounters() (*KernelCounters, error) {
	c := &KernelCounters{buf: make([]byte, 32<<10)}
	for _, name := range counterFiles {
		file, err := os.Open("/proc/thread-self/net/" + name)
		if errors.Is(err, os.ErrNotExist) {
			continue // there is no IPv6, or no xfrm
		}
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("open counters: %w", err)
		}
		c.files = append(c.files, file)
	}
	return c, nil
}

// Close closes the files.
func (c *KernelCounters) Close() {
	for _, file := range c.files {
		_ = file.Close()
	}
	c.files = nil
}

// Read reads all counters, by protocol and name: "Ip.InAddrErrors", "Ip6.InNoRoutes", "Xfrm.InPolBlock".
func (c *KernelCounters) Read() (map[string]uint64, error) {
	counted := map[string]uint64{}
	for _, file := range c.files {
		n, err := file.ReadAt(c.buf, 0)
		if n == 0 && err != nil {
			return nil, fmt.Errorf("read counters: %w", err)
		}
		addCounters(counted, c.buf[:n])
	}
	return counted, nil
}

// addCounters reads a file: of IPv4 a line of names and one of numbers for each protocol,
// of IPv6 and xfrm a line for each number. A line that is cut off is left out.
func addCounters(counted map[string]uint64, text []byte) {
	var names []string
	for len(text) > 0 {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if text = rest; !whole {
			return
		}
		fields := strings.Fields(string(line))
		switch {
		case len(fields) == 0:
		case !strings.HasSuffix(fields[0], ":"):
			addCounter6(counted, fields)
		case names == nil || names[0] != fields[0] || len(names) != len(fields):
			names = fields
		default:
			for i, field := range fields[1:] {
				if n, err := strconv.ParseInt(field, 10, 64); err == nil {
					counted[strings.TrimSuffix(fields[0], ":")+"."+names[i+1]] = uint64(n)
				}
			}
			names = nil
		}
	}
}

// addCounter6 adds a line as "Ip6InNoRoutes 3", or "XfrmInPolBlock 3".
func addCounter6(counted map[string]uint64, fields []string) {
	if len(fields) != 2 {
		return
	}
	n, err := strconv.ParseUint(fields[1], 10, 64)
	protocol, name, found := strings.Cut(fields[0], "6")
	switch counter, xfrm := strings.CutPrefix(fields[0], "Xfrm"); {
	case err != nil:
	case xfrm:
		counted["Xfrm."+counter] = n
	case found:
		counted[protocol+"6."+name] = n
	}
}
