// Package inspect is the one reader of a network namespace: links, addresses,
// routes, neighbours, route lookups, sysctls and sockets as typed values.
//
//	ns := inspect.Namespace{Handle: node.Netlink(), Do: node.Do}
//	state, err := ns.Read("fw")
//	...
//	to := inspect.Question{To: netip.MustParseAddr("10.0.2.1")}
//	err = ns.Fill(state, inspect.Want{Questions: []inspect.Question{to}})
//	...
//	fmt.Println(state.Lookups[to].Errno)
//
// It knows nothing of plans, labs or probes: who prints, compares or explains what
// it read is above it.
package inspect
