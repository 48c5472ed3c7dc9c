package topo_test

import (
	"fmt"

	"github.com/nstest/nstest/topo"
)

// A whole network: two segments of both families, a host on each, and a router
// between them with rules of its own. Whatever is not chosen the plan makes up,
// the same in every run.
func Example() {
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	office.Host("client", lan)
	office.Host("server", dmz.At("10.0.2.80"))
	office.Router("fw", lan, dmz).Nft(`
		table inet filter {
			chain forward {
				type filter hook forward priority 0; policy accept;
				tcp dport 22 drop comment "no ssh from the lan"
			}
		}`)
	fmt.Print(office)
	// Output:
	// network office
	//
	// SEGMENT  KIND    MTU   PREFIXES                 NODES
	// lan      switch  1500  10.0.1.0/24 fd00:1::/64  client, fw
	// dmz      switch  1500  10.0.2.0/24 fd00:2::/64  server, fw
	//
	// NODE    KIND    PORT  MTU   MAC                ADDRESSES
	// client  host    lan   1500  86:e6:67:45:77:15  10.0.1.1/24 fd00:1::1/64
	// server  host    dmz   1500  f2:6a:2f:a0:f4:d1  10.0.2.80/24 fd00:2::1/64
	// fw      router  lan   1500  c6:41:2f:1d:63:a1  10.0.1.2/24 fd00:1::2/64
	// fw      router  dmz   1500  6a:82:bb:2f:ee:f9  10.0.2.1/24 fd00:2::2/64
	//
	// NODE    ROUTE    VIA        PORT
	// client  default  10.0.1.2   lan
	// client  default  fd00:1::2  lan
	// server  default  10.0.2.1   dmz
	// server  default  fd00:2::2  dmz
	//
	// NODE  SETTING
	// fw    nft, 6 lines
}

// Declaring never fails: all mistakes come back together.
func ExampleNetwork_Validate() {
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24")
	uplink := office.Wire("uplink", "10.0.9.0/33")
	office.Host("bob", lan.At("10.0.2.9"))
	office.Host("bob", lan.At("10.0.1.255")).Route(topo.Route{Via: "10.0.3.1"})
	office.Router("fw", lan, uplink)
	fmt.Println(office.Validate())
	// Output:
	// network office has 6 mistakes:
	//   node bob: declared twice: give each a name of its own
	//   segment uplink: prefix "10.0.9.0/33": write it like 10.0.1.0/24 or fd00:1::/64
	//   segment uplink: a wire has two ports, this one has 1 (fw): attach two nodes, or declare a switch
	//   node bob: segment lan: address 10.0.2.9 is in none of the segment's prefixes: choose one that is, or use Also
	//   node bob: segment lan: address 10.0.1.255 is the network or broadcast address of 10.0.1.0/24: choose another
	//   node bob: route to default: gateway 10.0.3.1 is on none of the node's segments: choose one that is
}

// A wire is one veth pair: two nodes, here with the two addresses of a /31.
func ExampleNetwork_Wire() {
	network := topo.New("pair")
	wire := network.Wire("wire", "10.0.0.0/31", "fd00::/127").MTU(9000)
	network.Host("alice", wire)
	network.Host("bob", wire)
	plan, err := network.Plan()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, node := range plan.Nodes {
		fmt.Println(node.Name, node.Ports[0].Name, node.Ports[0].Addrs)
	}
	// Output:
	// alice wire [10.0.0.0/31 fd00::/127]
	// bob wire [10.0.0.1/31 fd00::1/127]
}

// Addresses may be chosen, and a segment's others keep clear of them. Two nodes
// with one address are a mistake, unless one says that it is meant.
func ExampleSegment_At() {
	network := topo.New("twins")
	lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
	network.Host("left", lan.At("10.0.0.1").MAC("02:00:00:00:00:0a").Duplicate())
	network.Host("right", lan.At("10.0.0.1").MAC("02:00:00:00:00:0b").Also("192.0.2.5/32"))
	network.Host("client", lan)
	plan, err := network.Plan()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, node := range plan.Nodes {
		fmt.Println(node.Name, node.Ports[0].Addrs)
	}
	// Output:
	// left [10.0.0.1/24 fd00::1/64]
	// right [10.0.0.1/24 fd00::2/64 192.0.2.5/32]
	// client [10.0.0.2/24 fd00::3/64]
}

// Routes of every kind beside those that the plan finds.
func ExampleNode_Route() {
	network := topo.New("routes")
	lan, dmz := network.Switch("lan", "10.0.1.0/24"), network.Switch("dmz", "10.0.2.0/24")
	network.Router("fw", lan, dmz)
	network.Host("server", dmz)
	network.Host("client", lan).Route(
		topo.Route{To: "10.7.0.0/16", Via: "10.0.1.1"},
		topo.Route{To: "10.8.0.0/16", Dev: lan, Table: 100, Metric: 7},
		topo.Route{To: "198.51.100.0/24", Type: topo.Blackhole},
		topo.Route{To: "203.0.113.0/24", Type: topo.Prohibit},
	)
	plan, err := network.Plan()
	if err != nil {
		fmt.Println(err)
		return
	}
	client, _ := plan.Node("client")
	for _, route := range client.Routes {
		fmt.Println(route.Type, route.To, route.Via.IsValid(), route.Dev, route.Auto)
	}
	// Output:
	// unicast 10.7.0.0/16 true lan false
	// unicast 10.8.0.0/16 false lan false
	// blackhole 198.51.100.0/24 false  false
	// prohibit 203.0.113.0/24 false  false
	// unicast 0.0.0.0/0 true lan true
}

// The same prefix may be on many segments. Where a node could take one for
// another it gets no route, and a note says so.
func ExamplePlan_Owners() {
	network := topo.New("tenants")
	wan := network.Switch("wan", "198.51.100.0/24")
	var sites []topo.Attachment
	for _, tenant := range []string{"a", "b"} {
		site := network.Wire(tenant+"/lan", "10.0.0.0/24")
		network.Host(tenant+"/server", site)
		sites = append(sites, site)
	}
	network.Router("gw", append(sites, wan)...)
	network.Host("client", wan)
	plan, err := network.Plan()
	if err != nil {
		fmt.Println(err)
		return
	}
	server, _ := plan.Nearest("gw", "b/server", false)
	fmt.Println(server, "is the address of", plan.Owners(server))
	fmt.Println(plan.Notes[len(plan.Notes)-1])
	// Output:
	// 10.0.0.1 is the address of [a/server b/server]
	// node client: no automatic route to 10.0.0.0/24 of segment a/lan, 10.0.0.0/24 of segment b/lan: they overlap
}
