package firewalls_test

// Ufw keeps its rules beside its programs, and loads them with iptables-restore in
// many steps: what came of these is the ruleset.
var ufw = &generator{
	name: "ufw", unpacked: "ufw",
	script: `
cp -R "$ROOT"/* .
cp usr/share/ufw/iptables/*.rules usr/share/ufw/ufw.conf etc/ufw
cat >>etc/ufw/before.rules <<'END'
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.0.1.0/24 -o wan -j MASQUERADE
COMMIT
END
ufw() { python3 usr/sbin/ufw --rootdir="$DIR" --datadir="$DIR" "$@"; }
ufw default deny incoming
ufw default allow outgoing
ufw default deny routed
ufw logging medium
ufw limit in on lan to any port 22 proto tcp comment 'ssh from the lan'
ufw allow in on lan to any port 80 proto tcp
ufw route reject in on lan out on wan to any port 25 proto tcp comment 'no mail'
ufw route allow in on lan out on wan
ufw --force enable
iptables-save >rules.ip4
ip6tables-save >rules.ip6
`,
	asked: ruleset{
		ip4: `
:INPUT DROP
:FORWARD DROP
-A INPUT -j ufw-before-input
-A ufw-before-input -j ufw-user-input
-A ufw-user-input -i lan -p tcp -m tcp --dport 22 -j ufw-user-limit-accept
-A ufw-user-limit -m limit --limit 3/min -j LOG
-A ufw-user-input -i lan -p tcp -m tcp --dport 80 -j ACCEPT
-A ufw-user-forward -i lan -o wan -p tcp -m tcp --dport 25 -j REJECT
-A ufw-user-forward -i lan -o wan -j ACCEPT
-A POSTROUTING -s 10.0.1.0/24 -o wan -j MASQUERADE
`,
		ip6: `
:INPUT DROP
:FORWARD DROP
-A INPUT -j ufw6-before-input
-A ufw6-before-input -j ufw6-user-input
-A ufw6-user-input -i lan -p tcp -m tcp --dport 22 -j ufw6-user-limit-accept
-A ufw6-user-input -i lan -p tcp -m tcp --dport 80 -j ACCEPT
-A ufw6-user-forward -i lan -o wan -p tcp -m tcp --dport 25 -j REJECT
-A ufw6-user-forward -i lan -o wan -j ACCEPT
`,
	},
	matrix: `
	      pc          desk        fw          site  cafe
	pc    .           ok          ok,drop@fw  ok    ok
	desk  ok          .           ok,drop@fw  ok    ok
	fw    ok          ok          .           ok    ok
	site  ok,drop@fw  ok,drop@fw  ok,drop@fw  .     ok
	cafe  ok,drop@fw  ok,drop@fw  ok,drop@fw  ok    .
`,
	stops: `
pc fw udp/53 drop@fw policy of ip filter INPUT
pc fw udp/53 drop@fw policy of ip6 filter INPUT
site fw tcp/80 drop@fw policy of ip filter INPUT
site fw tcp/80 drop@fw policy of ip6 filter INPUT
site fw udp/53 drop@fw policy of ip filter INPUT
site fw udp/53 drop@fw policy of ip6 filter INPUT
site pc tcp/80 drop@fw policy of ip filter FORWARD
site pc tcp/80 drop@fw policy of ip6 filter FORWARD
site pc udp/53 drop@fw policy of ip filter FORWARD
site pc udp/53 drop@fw policy of ip6 filter FORWARD
`,
}
