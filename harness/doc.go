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
// Attach and AttachLab, which enter namespaces that somebody else made, are for who has
// power over these: root, or the ordinary user whose tests have started what is in them.
//
// # What runs where
//
// A namespace belongs to a thread. Node.Do runs a function on a thread that is in
// the node's; goroutines that it starts are not. Dial, Listen and ListenPacket make
// a socket there, which is then used from anywhere. Node.Command starts a program
// there.
//
// # A node is a small machine
//
// To its commands. They have processes of their own (a PID namespace and a /proc),
// /run, /root, /dev/shm, /dev/pts, message queues, the node's name as the hostname, and
// the lab's namespaces at /run/netns/NAME (in a lab of more than 256 nodes, the node's
// own). /etc and /var they read from the machine and write to a layer of the node's,
// which ends with the lab; /etc/hosts and /etc/resolv.conf are the lab's. Node.Layer
// adds the files of packages that are not installed. So daemons find their PID files
// where they left them, and the machine's Docker, D-Bus and journal are out of reach.
//
// The test's working directory with all of its module, its temporary directory,
// NSTEST_ARTIFACTS and this library's cache are shared, wherever they are; what PATH
// lists below /root or /run may be read.
//
// What a node shares with the machine all the same, and with every other node: the
// kernel, its modules and its log; the clock; CPU and memory, and the limits of the
// control group; the size of the neighbour table (net.ipv4.neigh.default.gc_thresh3)
// and of connection tracking (net.netfilter.nf_conntrack_max); sysctls that are not a
// namespace's; devices; /tmp; and every other directory, which root writes to as ever
// (/home, /opt, /srv, /usr). A unix socket in one of those is within reach.
//
// Where a kernel or a container refuses a part of it, the node has the nearest that
// leaves the machine alone, and the test's log says what is missing. An ordinary user
// has copies of the files of /etc that may be read and are not above 1 MiB, and no
// password for anybody in /etc/shadow. Without overlayfs (an ordinary user's Linux before 5.11, a
// container with mounts of its own in /var) /var has directories and no files. Where
// parts of /proc are hidden from an ordinary user (Docker and Podman, unless run with
// --security-opt systempaths=unconfined) /proc stays the machine's: see OwnProc.
//
// # What a machine may lack
//
// Require, as a test's first line, says what the test needs of the kernel or of
// the machine, and skips it where that is missing. With NSTEST_STRICT=1 a skip is
// a failure, unless NSTEST_MISSING lists the feature.
package harness
