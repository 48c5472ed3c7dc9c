package harness

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// nftables writes the ruleset with its counters and handles as nft prints it;
// without nft what tables and chains there are.
func (s *state) nftables(w io.Writer) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	tables, err := conn.ListTables()
	tables = slices.DeleteFunc(tables, func(t *nftables.Table) bool { return strings.HasPrefix(t.Name, reserved) })
	if err != nil || len(tables) == 0 {
		return err
	}
	path, missing := tool("nft", "nftables")
	if missing == nil {
		for _, table := range tables {
			if err := s.program(w, path, "-a", "list", "table", tableFamily(table.Family), table.Name); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(w, "Names only, without rules: %v\n", missing)
	return chainNames(w)
}

// chainNames writes what can be said of a ruleset without nft.
func chainNames(w io.Writer) error {
	conn, err := inspect.DialRuleset()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	set, err := inspect.ReadRuleset(conn)
	if err != nil {
		return err
	}
	for _, table := range set.Tables {
		fmt.Fprintf(w, "table %s %s\n", table.Family, table.Name)
	}
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			fmt.Fprintf(w, "chain %s: %d rules", chain, len(chain.Rules))
			if chain.Hook != "" {
				fmt.Fprintf(w, ", policy %s", map[bool]string{true: "drop", false: "accept"}[chain.Drops])
			}
			fmt.Fprintln(w)
		}
	}
	return nil
}

func tableFamily(family nftables.TableFamily) string {
	names := map[nftables.TableFamily]string{
		nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6",
		nftables.TableFamilyARP: "arp", nftables.TableFamilyBridge: "bridge", nftables.TableFamilyNetdev: "netdev",
	}
	if name, ok := names[family]; ok {
		return name
	}
	return fmt.Sprint(family)
}

// iptables writes a family's iptables rules with their counters, where there are
// any: of either kind, since a node may have both.
func (s *state) iptables(family int) func(io.Writer) error {
	name, tableFamily := "iptables", nftables.TableFamilyIPv4
	if family == unix.AF_INET6 {
		name, tableFamily = "ip6tables", nftables.TableFamilyIPv6
	}
	return func(w io.Writer) error {
		if slices.Contains(inspect.LegacyPrograms(), name+"-legacy") {
			if err := s.save(w, name+"-legacy-save", name+"-save"); err != nil {
				return err
			}
		}
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := conn.ListTablesOfFamily(tableFamily)
		if err != nil || !slices.ContainsFunc(tables, ofIptables) {
			return err
		}
		return s.save(w, name+"-nft-save", name+"-save")
	}
}

// ofIptables says whether an nftables table is one of those that iptables-nft makes.
func ofIptables(table *nftables.Table) bool {
	return slices.Contains([]string{"filter", "nat", "mangle", "raw", "security"}, table.Name)
}

// save runs the first of the programs that is on this machine.
func (s *state) save(w io.Writer, names ...string) error {
	var missing error
	for _, name := range names {
		path, err := tool(name, "iptables")
		if err == nil {
			return s.program(w, path, "-c")
		}
		missing = err
	}
	return missing
}
