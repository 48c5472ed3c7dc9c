package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	nfnl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What is left out of sets of ipset, and of their members: counts, room, chance, and words for people (linux/netfilter/ipset/ip_set.h).
var (
	ipsetHeads   = sieve{without: []int{17, 18, nl.IPSET_ATTR_ELEMENTS, nl.IPSET_ATTR_REFERENCES, nl.IPSET_ATTR_MEMSIZE}}
	ipsetMembers = sieve{
		without: []int{nl.IPSET_ATTR_BYTES, nl.IPSET_ATTR_PACKETS, nl.IPSET_ATTR_COMMENT},
		within: map[int]func(ruleAttrs) string{nl.IPSET_ATTR_TIMEOUT: func(left ruleAttrs) string {
			return leftLine(left, left.uint32(), time.Second)
		}},
	}
)

const (
	ipsetProtocol = 7  // the first that tells a set's number
	ipsetByName   = 14 // IPSET_CMD_GET_BYNAME
	ipsetIndex    = 11 // IPSET_ATTR_INDEX
)

// ipsets reads the sets of ipset of the calling thread's namespace, by the numbers by which rules of iptables ask them.
func (d *Decisive) ipsets() error {
	if _, err := os.Stat("/sys/module/ip_set"); err != nil {
		return nil // to ask would load it
	}
	conn, err := dialLists(unix.NETLINK_NETFILTER)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open ipset socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	messages, err := askIpset(conn, nl.IPSET_CMD_LIST, nfnl.Dump, "")
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return nil // the kernel has none
	case err != nil:
		return fmt.Errorf("list sets of ipset: %w", err)
	}
	members := map[string][]string{}
	var names []string
	for _, m := range messages {
		attrs := nftAttrs(m)
		name := attrs.first(nl.IPSET_ATTR_SETNAME).text()
		if data := attrs.first(nl.IPSET_ATTR_DATA); data != nil || members[name] == nil {
			number, err := askIpset(conn, ipsetByName, 0, name)
			if err != nil || len(number) == 0 {
				return fmt.Errorf("set %s of ipset: ask for its number: %w", name, err)
			}
			is := sieve{only: []int{nl.IPSET_ATTR_TYPENAME, nl.IPSET_ATTR_REVISION, nl.IPSET_ATTR_FAMILY}}.text(attrs)
			names = append(names, name)
			members[name] = append(members[name], fmt.Sprintf(" %x%s%s", []byte(nftAttrs(number[0]).first(ipsetIndex)), is, ipsetHeads.text(data)))
		}
		for _, e := range attrs.first(nl.IPSET_ATTR_ADT).all() {
			members[name] = append(members[name], ipsetMembers.text(e))
		}
	}
	for _, name := range names {
		lines := members[name]
		slices.Sort(lines[1:])
		d.Parts[partIpset] = append(d.Parts[partIpset], name+strings.Join(lines, "\n"))
	}
	return nil
}

// askIpset asks for the sets, or something about one.
func askIpset(conn *nfnl.Conn, command uint16, flags nfnl.HeaderFlags, name string) ([]nfnl.Message, error) {
	attrs := []nfnl.Attribute{{Type: nl.IPSET_ATTR_PROTOCOL, Data: []byte{ipsetProtocol}}}
	if name != "" {
		attrs = append(attrs, nfnl.Attribute{Type: nl.IPSET_ATTR_SETNAME, Data: []byte(name + "\x00")})
	} else {
		attrs = append(attrs, nfnl.Attribute{Type: nl.IPSET_ATTR_FLAGS | nfnl.NetByteOrder, Data: binary.BigEndian.AppendUint32(nil, 0)})
	}
	data, err := nfnl.MarshalAttributes(attrs)
	if err != nil {
		return nil, err
	}
	return conn.Execute(nfnl.Message{
		Header: nfnl.Header{Type: nfnl.HeaderType(unix.NFNL_SUBSYS_IPSET<<8 | command), Flags: nfnl.Request | flags},
		Data:   append([]byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}, data...),
	})
}
