package firewalls_test

// Shorewall compiles a script out of its configuration, shorewall6 one for IPv6.
// What the script hands to iptables-restore is the ruleset.
var shorewall = &generator{
	name: "shorewall", unpacked: "shorewall6",
	script: `
mkdir var
sed "s,^PREFIX=/usr,PREFIX=$ROOT/usr,; s,^CONFDIR=.*,CONFDIR=$DIR/none,; s,^VARLIB=.*,VARLIB=$DIR/var,; s,^SBINDIR=.*,SBINDIR=$ROOT/sbin," \
	"$ROOT/usr/share/shorewall/shorewallrc" >shorewallrc
for family in 4 6; do
	product=shorewall
	[ $family = 4 ] || product=shorewall6
	mkdir $product
	cp "$ROOT/etc/$product/$product.conf" "$ROOT/etc/$product/conntrack" $product
	sed -i "s,^STARTUP_LOG=.*,STARTUP_LOG=$DIR/log,; s,^MODULESDIR=.*,MODULESDIR=$DIR/none,; s,:/usr/share/,:$ROOT/usr/share/," $product/$product.conf
	printf 'fw firewall\nloc ipv%s\nnet ipv%s\n' $family $family >$product/zones
	printf '?FORMAT 2\nnet wan tcpflags\nloc lan tcpflags\n' >$product/interfaces
	[ $family = 6 ] || printf 'MASQUERADE 10.0.1.0/24 wan\n' >$product/snat
	cat >$product/policy <<'END'
loc  net ACCEPT
$FW  all ACCEPT
net  all DROP   $LOG_LEVEL
all  all REJECT $LOG_LEVEL
END
	cat >$product/rules <<'END'
?SECTION NEW
?COMMENT ssh from the lan
SSH(ACCEPT)  loc $FW - - - - s:ssh:3/min:5
?COMMENT
HTTP(ACCEPT) loc $FW
Ping(ACCEPT) loc $FW
?COMMENT no mail
SMTP(REJECT) loc net
?COMMENT
END
	perl "$ROOT/usr/share/shorewall/compiler.pl" --shorewallrc="$DIR/shorewallrc" --directory="$DIR/$product" \
		--config_path="$DIR/$product:$ROOT/usr/share/$product:$ROOT/usr/share/shorewall" --family=$family script$family
	sh script$family start
done
cp var/shorewall/.iptables-restore-input rules.ip4
cp var/shorewall6/.ip6tables-restore-input rules.ip6
`,
	asked: ruleset{
		ip4: `
:INPUT DROP
:FORWARD DROP
-A INPUT -i lan -j loc-fw
-A INPUT -i wan -j net-fw
-A loc-fw -p tcp -m tcp --dport 22 -m hashlimit --hashlimit-upto 3/min
-A loc-fw -p tcp -m tcp --dport 80
-A loc-fw -p icmp -m icmp --icmp-type 8 -m comment --comment Ping -j ACCEPT
-A loc-net -p tcp -m tcp --dport 25 -m comment --comment "no mail" -g reject
-A loc-net -j ACCEPT
-A net-loc -j DROP
-A POSTROUTING -s 10.0.1.0/24 -o wan -j MASQUERADE
`,
		ip6: `
:INPUT DROP
:FORWARD DROP
-A loc-fw -p tcp -m tcp --dport 22 -m hashlimit --hashlimit-upto 3/min
-A loc-fw -p tcp -m tcp --dport 80
-A loc-fw -p ipv6-icmp -m icmp6 --icmpv6-type 128 -m comment --comment Ping -j ACCEPT
-A loc-net -p tcp -m tcp --dport 25 -m comment --comment "no mail" -g reject
-A loc-net -j ACCEPT
-A net-loc -j DROP
`,
	},
	matrix: `
	      pc       desk     fw            site  cafe
	pc    .        ok       ok,reject@fw  ok    ok
	desk  ok       .        ok,reject@fw  ok    ok
	fw    ok       ok       .             ok    ok
	site  drop@fw  drop@fw  drop@fw       .     ok
	cafe  drop@fw  drop@fw  drop@fw       ok    .
`,
	stops: `
pc fw udp/53 reject@fw rule of ip filter reject
pc fw udp/53 reject@fw rule of ip6 filter reject
site fw icmp drop@fw rule of ip filter net-fw
site fw icmp drop@fw rule of ip6 filter net-fw
site fw tcp/80 drop@fw rule of ip filter net-fw
site fw tcp/80 drop@fw rule of ip6 filter net-fw
site fw udp/53 drop@fw rule of ip filter net-fw
site fw udp/53 drop@fw rule of ip6 filter net-fw
site pc icmp drop@fw rule of ip filter net-loc
site pc icmp drop@fw rule of ip6 filter net-loc
site pc tcp/80 drop@fw rule of ip filter net-loc
site pc tcp/80 drop@fw rule of ip6 filter net-loc
site pc udp/53 drop@fw rule of ip filter net-loc
site pc udp/53 drop@fw rule of ip6 filter net-loc
`,
}
