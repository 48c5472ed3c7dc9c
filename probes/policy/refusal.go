package policy

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// What a sender is told, by the codes of ICMP's type 3 (RFC 792, 1812) and of ICMPv6's type 1 (RFC 4443).
var refusals = [2]map[uint8]string{
	{
		0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable", 3: "port-unreachable",
		9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited",
	},
	{0: "no-route", 1: "admin-prohibited", 2: "beyond-scope", 3: "addr-unreachable", 4: "port-unreachable", 5: "policy-fail", 6: "reject-route"},
}

// eitherCodes are the codes of what nft calls icmpx, for each family.
var eitherCodes = [2]map[uint8]uint8{
	{unix.NFT_REJECT_ICMPX_NO_ROUTE: 0, unix.NFT_REJECT_ICMPX_PORT_UNREACH: 3, unix.NFT_REJECT_ICMPX_HOST_UNREACH: 1, unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED: 13},
	{unix.NFT_REJECT_ICMPX_NO_ROUTE: 0, unix.NFT_REJECT_ICMPX_PORT_UNREACH: 4, unix.NFT_REJECT_ICMPX_HOST_UNREACH: 3, unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED: 1},
}

const tcpReset = "tcp reset"

// refusal is how a rule tells the sender of a packet that it stops it; "" for one that tells nobody.
func refusal(r *inspect.Rule, v6 bool) string {
	for _, x := range r.Exprs {
		switch x := x.(type) {
		case *expr.Reject:
			switch x.Type {
			case unix.NFT_REJECT_TCP_RST:
				return tcpReset
			case unix.NFT_REJECT_ICMPX_UNREACH:
				return refusalOf(eitherCodes[family(v6)][x.Code], v6)
			}
			return refusalOf(x.Code, v6)
		case *expr.Target:
			if x.Name == "REJECT" {
				return targetRefusal(x, v6)
			}
		}
	}
	return ""
}

func refusalOf(code uint8, v6 bool) string {
	protocol := [2]string{"icmp ", "icmpv6 "}[family(v6)]
	if word := refusals[family(v6)][code]; word != "" {
		return protocol + word
	}
	return protocol + fmt.Sprintf("code %d", code)
}

// targetRefusal is that of iptables' REJECT: enum ipt_reject_with and ip6t_reject_with, in their order.
func targetRefusal(x *expr.Target, v6 bool) string {
	const reset, echo = 0xff, 0xfe // which are no codes
	codes := [2][]uint8{{0, 1, 2, 3, echo, 9, 10, reset, 13}, {0, 1, 2, 3, 4, echo, reset, 5, 6}}[family(v6)]
	const size = 4
	info, is := x.Info.(*xt.Unknown)
	if !is || len(*info) < size {
		return x.Name
	}
	with := binary.NativeEndian.Uint32(*info)
	switch {
	case int(with) >= len(codes) || codes[with] == echo:
		return fmt.Sprintf("%s %d", x.Name, with)
	case codes[with] == reset:
		return tcpReset
	}
	return refusalOf(codes[with], v6)
}
