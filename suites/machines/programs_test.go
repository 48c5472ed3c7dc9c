package machines_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// patience is for what takes a moment, on a busy machine too.
const patience = 30 * time.Second

// installed has the packages' files in the nodes. Their services change their user.
func installed(packages []string, nodes ...*harness.Node) {
	GinkgoHelper()
	for _, name := range packages {
		root, err := harness.PackageRoot(name)
		Expect(err).NotTo(HaveOccurred())
		for _, node := range nodes {
			Expect(node.Layer(root)).To(Succeed())
		}
	}
}

// configure runs what a package's postinst would in a node.
func configure(node *harness.Node, script string) {
	GinkgoHelper()
	sh(node, `
		user() { grep -q "^$1:" /etc/passwd || { echo "$1:x:$2:$2::$3:/usr/sbin/nologin" >>/etc/passwd; echo "$1:x:$2:" >>/etc/group; }; }
	`+script)
}

// pid is the process that a PID file in a node names, by its command.
func pid(node *harness.Node, file string) string {
	GinkgoHelper()
	return strings.TrimSpace(sh(node, `cat /proc/$(cat `+file+`)/comm`))
}

var _ = Describe("a real program on its Debian configuration", func() {
	var client, server *harness.Node

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.Unpacked("openssh-server", "nginx", "dnsmasq", "isc-dhcp-client"), harness.Users, harness.OwnProc, harness.Overlay)
		client, server = pair()
	})

	It("is sshd, which lets a key in and gives it a terminal", func() {
		installed([]string{"openssh-server"}, client, server)
		configure(server, `
			user sshd 110 /run/sshd
			cp /usr/share/openssh/sshd_config /etc/ssh/
			ssh-keygen -q -A`)
		key := sh(client, `mkdir -m 700 -p /root/.ssh; ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519; cat /root/.ssh/id_ed25519.pub`)
		sh(server, `mkdir -m 700 /root/.ssh; echo '`+key+`' >/root/.ssh/authorized_keys`)
		harness.Start(GinkgoTB(), server.Command("/usr/sbin/sshd", "-D", "-e"), harness.Listening("tcp", 22), harness.Exists("/run/sshd.pid"))
		Expect(pid(server, "/run/sshd.pid")).To(Equal("sshd"))

		out := sh(client, `ssh -tt -o UserKnownHostsFile=/root/known -o StrictHostKeyChecking=accept-new -i /root/.ssh/id_ed25519 root@server 'uname -n; tty; exit 0' 2>&1`)
		Expect(out).To(And(ContainSubstring("server\r\n"), ContainSubstring("/dev/pts/")))
		Expect(client.Command("ssh", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=/root/known", "-i", "/dev/null", "root@server", "true").Run()).
			NotTo(Succeed(), "without the key")
	})

	It("is nginx, at two nodes at once, which serves, reloads and ends", func() {
		for _, node := range []*harness.Node{client, server} {
			installed([]string{"nginx"}, node)
			configure(node, `
				ln -sf /etc/nginx/sites-available/default /etc/nginx/sites-enabled/default
				mkdir -p /var/www/html
				echo "welcome to $(uname -n)" >/var/www/html/index.nginx-debian.html`)
			harness.Start(GinkgoTB(), node.Command("nginx", "-g", "daemon on; master_process on;"), harness.Exists("/run/nginx.pid"), harness.Listening("tcp", 80))
			Expect(pid(node, "/run/nginx.pid")).To(Equal("nginx"))
		}
		Expect(get(client, server)).To(Equal("welcome to server\n"))
		Expect(get(server, client)).To(Equal("welcome to client\n"))
		Expect(sh(server, `cat /var/log/nginx/access.log`)).To(ContainSubstring(client.Addr().String() + " - - ["))

		sh(server, `nginx -s reload`)
		Eventually(func() (string, error) { return get(client, server) }, patience).Should(Equal("welcome to server\n"))
		sh(server, `nginx -s quit`)
		Eventually(func() error { _, err := get(client, server); return err }, patience).Should(HaveOccurred())
		Expect(get(server, client)).To(Equal("welcome to client\n"), "the other goes on")
	})

	It("is dnsmasq, from which dhclient has an address, and the name service the name", func(ctx SpecContext) {
		installed([]string{"dnsmasq"}, server)
		installed([]string{"isc-dhcp-client"}, client)
		configure(server, `
			user dnsmasq 111 /var/lib/misc
			mkdir -p /run/dnsmasq /var/lib/misc
			printf 'dhcp-range=10.0.1.100,10.0.1.150,1h\ndomain=office.test\nlocal=/office.test/\naddress=/printer.office.test/10.0.1.99\n' >/etc/dnsmasq.d/office`)
		harness.Start(GinkgoTB(), server.Command("dnsmasq", "--conf-dir=/etc/dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new", "--local-service",
			"--user=dnsmasq", "--pid-file=/run/dnsmasq/dnsmasq.pid", "--log-facility=-", "--keep-in-foreground", "--log-dhcp"),
			harness.Listening("udp", 67), harness.Listening("udp", 53), harness.Exists("/run/dnsmasq/dnsmasq.pid"))

		sh(client, `ip -4 addr flush dev lan; mkdir -p /var/lib/dhcp`)
		log := harness.Start(GinkgoTB(), client.Command("dhclient", "-d", "-v", "lan"), harness.Printed("bound to 10.0.1.1"))
		address := sh(client, `ip -4 -o addr show dev lan | sed -E 's/.*inet ([^/]*).*/\1/'`)
		leased, err := netip.ParseAddr(strings.TrimSpace(address))
		Expect(err).NotTo(HaveOccurred(), "%s", log)
		Expect(sh(server, `cat /var/lib/misc/dnsmasq.leases`)).To(And(ContainSubstring(leased.String()), ContainSubstring(" client ")))
		Expect(sh(client, `cat /etc/resolv.conf`)).To(ContainSubstring("nameserver 10.0.1.2"))

		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return client.Dial(ctx, network, netip.AddrPortFrom(server.Addr(), 53))
		}}
		Expect(resolver.LookupHost(ctx, "printer.office.test.")).To(ConsistOf("10.0.1.99"))
		Expect(resolver.LookupHost(ctx, "client.office.test.")).To(ConsistOf(leased.String()))
		_, err = resolver.LookupHost(ctx, "nobody.office.test.")
		Expect(err).To(MatchError(ContainSubstring("no such host")))
	})
})

// get is what another node's web server says.
func get(from, to *harness.Node) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return from.Dial(ctx, network, netip.AddrPortFrom(to.Addr(), 80))
	}}
	web := &http.Client{Transport: transport, Timeout: patience}
	response, err := web.Get("http://" + to.Name() + "/")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
