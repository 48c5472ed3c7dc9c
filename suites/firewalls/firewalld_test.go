package firewalls_test

// Firewalld's daemon wants D-Bus; what it does first is done here without: its core
// reads the configuration and puts the rules in place, with nftables.
var firewalld = &generator{
	name: "firewalld", unpacked: "firewalld",
	script: `
cp -R "$ROOT/etc/firewalld" etc
mkdir -p etc/zones etc/policies etc/services etc/icmptypes etc/ipsets etc/helpers
sed -i 's/^LogDenied=.*/LogDenied=all/; s/^NftablesTableOwner=.*/NftablesTableOwner=no/' etc/firewalld.conf
cat >etc/zones/internal.xml <<'END'
<zone>
  <interface name="lan"/>
  <service name="mdns"/>
  <service name="samba-client"/>
  <service name="dhcpv6-client"/>
  <service name="http"/>
  <rule>
    <service name="ssh"/>
    <log prefix="ssh from the lan "><limit value="3/m"/></log>
    <accept><limit value="10/m"/></accept>
  </rule>
  <forward/>
</zone>
END
cat >etc/zones/external.xml <<'END'
<zone>
  <interface name="wan"/>
  <masquerade/>
  <forward/>
</zone>
END
cat >etc/policies/out.xml <<'END'
<policy target="ACCEPT">
  <ingress-zone name="internal"/>
  <egress-zone name="external"/>
  <rule priority="-1">
    <port port="25" protocol="tcp"/>
    <log prefix="no mail "/>
    <reject/>
  </rule>
</policy>
END
python3 "$ROOT/usr/bin/firewall-offline-cmd" --system-config "$DIR/etc" --default-config "$ROOT/usr/lib/firewalld" --check-config
python3 - "$DIR/etc" "$ROOT/usr/lib/firewalld" <<'END'
import sys
from firewall import config
config.set_system_config_paths(sys.argv[1])
config.set_default_config_paths(sys.argv[2])
config.FIREWALLD_TEMPDIR = sys.argv[1]
config.COMMANDS["modprobe"] = "/bin/true"
from firewall.core.logger import log
log.setFormat("%(label)s%(message)s")
log.setInfoLogging("*", log.stderr)
from firewall.core.fw import Firewall
Firewall().start()
END
nft list ruleset >rules.nft
`,
	asked: ruleset{nft: `
table inet firewalld {
iifname "lan" goto filter_IN_internal
iifname "wan" goto filter_IN_external
tcp dport 22 limit rate 10/minute accept
tcp dport 80 accept
iifname "lan" oifname "wan" jump filter_FWD_policy_out
tcp dport 25 log prefix "no mail "
tcp dport 25 reject
meta nfproto ipv4 oifname != "lo" masquerade
log prefix "FINAL_REJECT: "
`},
	matrix: `
	      pc         desk       fw            site  cafe
	pc    .          ok         ok,reject@fw  ok    ok
	desk  ok         .          ok,reject@fw  ok    ok
	fw    ok         ok         .             ok    ok
	site  reject@fw  reject@fw  ok,reject@fw  .     ok
	cafe  reject@fw  reject@fw  ok,reject@fw  ok    .
`,
	stops: `
pc fw udp/53 reject@fw rule of inet firewalld filter_IN_internal
site fw tcp/80 reject@fw rule of inet firewalld filter_IN_external
site fw udp/53 reject@fw rule of inet firewalld filter_IN_external
site pc icmp reject@fw rule of inet firewalld filter_FWD_external
site pc tcp/80 reject@fw rule of inet firewalld filter_FWD_external
site pc udp/53 reject@fw rule of inet firewalld filter_FWD_external
`,
}
