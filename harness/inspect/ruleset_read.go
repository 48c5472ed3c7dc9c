package inspect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	nfnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ownTables is how the names of tables begin that tests make for themselves.
const ownTables = "nstest-"

// errRulesChange is that of a ruleset which does not hold still.
var errRulesChange = errors.New("read ruleset: somebody changes it all the time; read it when it is quiet")

// RulesetConn is a socket to read rules by, in the namespace that it was made in.
type RulesetConn = nfnl.Conn

// DialRuleset opens a socket for ReadRuleset in the calling thread's namespace. It may
// then be used from anywhere.
func DialRuleset() (*RulesetConn, error) {
	conn, err := dialLists(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	return conn, nil
}

// dialLists opens a socket for long lists of a family of netlink.
func dialLists(family int) (*nfnl.Conn, error) {
	const most = 64 << 10 // more than the kernel sends at once, which is what there is room for
	return nfnl.Dial(family, &nfnl.Config{MessageBufferSize: most})
}

// ReadRuleset reads all nftables tables of the namespace that the socket is of, as
// they are at one moment: what changes meanwhile is read again. It asks for all rules
// at once, which for 5,500 rules takes a third of the time that google/nftables takes, and
// it does not pass over what that does not know.
func ReadRuleset(conn *RulesetConn) (set *Ruleset, err error) {
	err = atOneMoment(conn, func(generation uint32) error {
		set = &Ruleset{Generation: generation}
		r := rulesetReader{conn: conn, set: set}
		return r.read()
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}

// atOneMoment reads of nftables until nobody has changed it meanwhile.
func atOneMoment(conn *RulesetConn, read func(generation uint32) error) error {
	const tries = 10
	for range tries {
		before, err := Generation(conn)
		if err != nil {
			return fmt.Errorf("read ruleset: %w", err)
		}
		if err := read(before); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("read ruleset: %w", err)
		} else if after, _ := Generation(conn); err == nil && after == before {
			return nil
		}
	}
	return errRulesChange
}

// Generation is the kernel's count of changes to the rules of the namespace that the socket
// is of: see Ruleset.Generation.
func Generation(conn *RulesetConn) (uint32, error) {
	const genID = 1 // NFTA_GEN_ID
	messages, err := conn.Execute(nftRequest(unix.NFT_MSG_GETGEN, unix.NFPROTO_UNSPEC, 0))
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	return nftAttrs(messages[0]).first(genID).uint32(), nil
}

// rulesetReader fills a ruleset.
type rulesetReader struct {
	conn   *nfnl.Conn
	set    *Ruleset
	tables map[tableKey]*Table
	chains map[chainKey]*Chain
}

type tableKey struct {
	family byte
	name   string
}

type chainKey struct {
	tableKey
	chain string
}

// familyWords are nft's (linux/netfilter.h).
var familyWords = map[byte]string{
	unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6",
	unix.NFPROTO_ARP: "arp", unix.NFPROTO_BRIDGE: "bridge", unix.NFPROTO_NETDEV: "netdev",
}

func (r *rulesetReader) read() error {
	r.tables, r.chains = map[tableKey]*Table{}, map[chainKey]*Chain{}
	for _, part := range []struct {
		what uint16
		take func(byte, ruleAttrs) error
	}{
		{unix.NFT_MSG_GETTABLE, r.table}, {unix.NFT_MSG_GETCHAIN, r.chain},
		{unix.NFT_MSG_GETRULE, r.rule}, {unix.NFT_MSG_GETSET, r.namedSet},
	} {
		if part.what != unix.NFT_MSG_GETTABLE && len(r.tables) == 0 {
			return nil
		}
		if err := dump(r.conn, nftRequest(part.what, unix.NFPROTO_UNSPEC, nfnl.Dump), part.take); err != nil {
			return err
		}
	}
	for key, table := range r.tables {
		if err := r.elements(key, table); err != nil {
			return err
		}
	}
	r.updates()
	if slices.ContainsFunc(r.set.Tables, (*Table).expects) {
		return dump(r.conn, nftRequest(unix.NFT_MSG_GETOBJ, unix.NFPROTO_UNSPEC, nfnl.Dump), r.object)
	}
	return nil
}

// nftRequest is a message without attributes: struct nfgenmsg alone.
func nftRequest(what uint16, family byte, flags nfnl.HeaderFlags) nfnl.Message {
	return nfnl.Message{
		Header: nfnl.Header{Type: nfnl.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | what), Flags: nfnl.Request | flags},
		Data:   []byte{family, unix.NFNETLINK_V0, 0, 0},
	}
}

// nftAttrs are a message's attributes.
func nftAttrs(m nfnl.Message) ruleAttrs {
	const genmsg = 4
	return ruleAttrs(m.Data[min(genmsg, len(m.Data)):])
}

// dump hands on what the kernel lists; EINTR where it changed meanwhile.
func dump(conn *RulesetConn, request nfnl.Message, take func(byte, ruleAttrs) error) error {
	messages, err := conn.Execute(request)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if isInterrupted(m) {
			return unix.EINTR
		}
		if len(m.Data) == 0 {
			continue
		}
		if err := take(m.Data[0], nftAttrs(m)); err != nil {
			return err
		}
	}
	return nil
}

func (r *rulesetReader) table(family byte, data ruleAttrs) error {
	name := data.first(unix.NFTA_TABLE_NAME).text()
	if familyWords[family] == "" || strings.HasPrefix(name, ownTables) {
		return nil
	}
	const handle = 4 // NFTA_TABLE_HANDLE
	table := &Table{
		Family: familyWords[family], Name: name, Handle: data.first(handle).uint64(),
		Flags: data.first(unix.NFTA_TABLE_FLAGS).uint32(), Sets: map[string]*Set{},
	}
	r.tables[tableKey{family, name}] = table
	r.set.Tables = append(r.set.Tables, table)
	return nil
}

func (r *rulesetReader) chain(family byte, data ruleAttrs) error {
	key := chainKey{tableKey{family, data.first(unix.NFTA_CHAIN_TABLE).text()}, data.first(unix.NFTA_CHAIN_NAME).text()}
	table := r.tables[key.tableKey]
	if table == nil {
		return nil
	}
	chain := &Chain{Table: table, Name: key.chain, Type: data.first(unix.NFTA_CHAIN_TYPE).text()}
	if hook := data.first(unix.NFTA_CHAIN_HOOK); hook != nil {
		chain.stand(family, hook)
		chain.Drops = data.first(unix.NFTA_CHAIN_POLICY) != nil && data.first(unix.NFTA_CHAIN_POLICY).uint32() == 0
	}
	r.chains[key] = chain
	table.Chains = append(table.Chains, chain)
	return nil
}

// hookWords are nft's, by the kernel's numbers (linux/netfilter.h, netfilter_arp.h).
var hookWords = map[byte][]string{
	unix.NFPROTO_NETDEV: {"ingress", "egress"},
	unix.NFPROTO_ARP:    {"input", "output", "forward"},
	0:                   {"prerouting", "input", "forward", "output", "postrouting", "ingress"},
}

// stand takes where a base chain is.
func (c *Chain) stand(family byte, hook ruleAttrs) {
	const devices, deviceName = 4, 1 // NFTA_HOOK_DEVS, NFTA_DEVICE_NAME
	words := hookWords[family]
	if words == nil {
		words = hookWords[0]
	}
	number := int(hook.first(unix.NFTA_HOOK_HOOKNUM).uint32())
	if c.Hook = fmt.Sprintf("hook %d", number); number < len(words) {
		c.Hook = words[number]
	}
	c.Priority = int32(hook.first(unix.NFTA_HOOK_PRIORITY).uint32())
	if one := hook.first(unix.NFTA_HOOK_DEV).text(); one != "" {
		c.Devices = append(c.Devices, one)
	}
	for kind, name := range hook.first(devices).all() {
		if kind == deviceName && len(c.Devices) == 0 || kind == deviceName && name.text() != c.Devices[0] {
			c.Devices = append(c.Devices, name.text())
		}
	}
}

func (r *rulesetReader) rule(family byte, data ruleAttrs) error {
	key := chainKey{tableKey{family, data.first(unix.NFTA_RULE_TABLE).text()}, data.first(unix.NFTA_RULE_CHAIN).text()}
	chain := r.chains[key]
	if chain == nil {
		return nil
	}
	rule := &Rule{
		Chain: chain, Handle: data.first(unix.NFTA_RULE_HANDLE).uint64(), Position: len(chain.Rules) + 1,
		Digest: digest(data),
		Exprs:  readExprs(family, data.first(unix.NFTA_RULE_EXPRESSIONS)),
	}
	rule.Comment = commentOf(data.first(unix.NFTA_RULE_USERDATA))
	for _, e := range rule.Exprs {
		if match, ok := e.(*expr.Match); ok {
			if comment, ok := match.Info.(*xt.Comment); ok {
				rule.Comment, _, _ = strings.Cut(string(*comment), "\x00")
			}
		}
	}
	chain.Rules = append(chain.Rules, rule)
	return nil
}

// commentOf finds nft's comment among what programs keep with a rule: type, length
// and value, a byte each of the first two.
func commentOf(data []byte) string {
	const comment = 0 // NFTNL_UDATA_RULE_COMMENT
	for len(data) >= 2 && len(data) >= 2+int(data[1]) {
		if data[0] == comment {
			return ruleAttrs(data[2 : 2+int(data[1])]).text()
		}
		data = data[2+int(data[1]):]
	}
	return ""
}

func (r *rulesetReader) namedSet(family byte, data ruleAttrs) error {
	if table := r.tables[tableKey{family, data.first(unix.NFTA_SET_TABLE).text()}]; table != nil {
		set := readSet(data)
		table.Sets[set.Name] = set
	}
	return nil
}

// elements reads those of a table's sets.
func (r *rulesetReader) elements(key tableKey, table *Table) error {
	for _, set := range table.Sets {
		request := nftRequest(unix.NFT_MSG_GETSETELEM, key.family, nfnl.Dump)
		names, err := nfnl.MarshalAttributes([]nfnl.Attribute{
			{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: []byte(table.Name + "\x00")},
			{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: []byte(set.Name + "\x00")},
		})
		if err != nil {
			return err
		}
		request.Data = append(request.Data, names...)
		var raw []rawElement
		err = dump(r.conn, request, func(family byte, data ruleAttrs) error {
			for _, e := range data.first(unix.NFTA_SET_ELEM_LIST_ELEMENTS).all() {
				raw = append(raw, readElement(family, e))
			}
			return nil
		})
		if err != nil {
			return err
		}
		set.take(raw)
	}
	return nil
}

// updates says which sets rules change.
func (r *rulesetReader) updates() {
	fills := false
	for _, table := range r.set.Tables {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				for _, e := range rule.Exprs {
					switch e := e.(type) {
					case *expr.Dynset:
						if set := table.Sets[e.SetName]; set != nil {
							set.Updated = true
						}
					case *expr.Target:
						fills = fills || e.Name == "SET"
					}
				}
			}
		}
	}
	for _, table := range r.set.Tables {
		table.FillsIPSets = fills
	}
}
