package device

import (
	"encoding/binary"

	"github.com/nstest/nstest/topo"
)

// Of linux/if_link.h.
const (
	geneveID      = 1 // IFLA_GENEVE_ID
	geneveRemote  = 2 // IFLA_GENEVE_REMOTE
	genevePort    = 5 // IFLA_GENEVE_PORT
	geneveRemote6 = 7 // IFLA_GENEVE_REMOTE6

	geneveUDP = 6081 // RFC 8926
)

var geneve = &Kind{Name: "geneve", Data: func(a *Attributes, d *topo.DevicePlan) {
	a.U32(geneveID, uint32(d.ID))
	for _, remote := range d.Remotes {
		if remote.Is4() {
			a.Addr(geneveRemote, remote)
		} else {
			a.Addr(geneveRemote6, remote)
		}
	}
	a.Bytes(genevePort, binary.BigEndian.AppendUint16(nil, geneveUDP))
}}
