package verdict

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire/wiretest"
)

var client4, server4, client6, server6 = wiretest.Client4, wiretest.Server4, wiretest.Client6, wiretest.Server6

var everywhere = netip.IPv6Unspecified()

var dawn = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

var (
	commented = evidence.Rule{Family: "inet", Table: "filter", Chain: "forward", Handle: 7, Text: "udp dport 53 drop", Comment: "no dns"}
	policy    = evidence.Rule{Family: "inet", Table: "filter", Chain: "forward"}
)
