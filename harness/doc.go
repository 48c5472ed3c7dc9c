// Package harness makes a network real for one test, and takes it away.
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
//
//	func TestOffice(t *testing.T) {
//		office := topo.New("office")
//		lan := office.Wire("lan", "10.0.1.0/24", "fd00:1::/64")
//		office.Host("client", lan)
//		office.Host("server", lan.At("10.0.1.80"))
//
//		lab := harness.Up(t, office)
//		listener, err := lab.Node("server").Listen(t.Context(), "tcp", netip.MustParseAddrPort("10.0.1.80:80"))
//		...
//		conn, err := lab.Node("client").Dial(t.Context(), "tcp", netip.MustParseAddrPort("10.0.1.80:80"))
//		...
//		out, err := lab.Node("server").Command("ss", "-tn").Output()
//	}
//
// A node is a network namespace, a segment a veth pair or a bridge. Up returns
// when a first packet will pass. When the test ends all of it is gone, and
// nothing outlives the process either, however it dies: namespaces are held by
// descriptors and threads alone. Nothing of the machine's own network is touched.
//
// # Privilege
//
// As root the tests run where they are. For an ordinary user Main runs them in a
// user namespace, where they are root over what they make and nothing else.
// Attach, which enters namespaces of the machine, is for root only.
//
// # What runs where
//
// A namespace belongs to a thread. Node.Do runs a function on a thread that is in
// the node's; goroutines that it starts are not. Dial, Listen and ListenPacket make
// a socket there, which is then used from anywhere. Node.Command starts a program
// there, in a PID namespace that ends with the lab.
//
// # What a machine may lack
//
// Require, as a test's first line, says what the test needs of the kernel or of
// the machine, and skips it where that is missing. With NSTEST_STRICT=1 a skip is
// a failure, unless NSTEST_MISSING lists the feature.
package harness
