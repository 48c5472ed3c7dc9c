package verdict

// order is the only list of the kinds of cause. At each stage of a packet's way the
// first that accounts for its end is named; so what makes another one follow comes
// before it: a link that is down takes addresses and routes along.
var order = []*row{
	&noPath,
	&conflict,
	&drop,
	&reject,
	&loop,
	&martian,
	&portIsolated,
	&portLocked,
	&linkDown,
	&noCarrier,
	&tentative,
	&blackhole,
	&unreachable,
	&prohibit,
	&noAddress,
	&ttl,
	&notRouter,
	&noForward,
	&noRoute,
	&rpFilter,
	&xfrm,
	&otherAddr,
	&mtu,
	&queue,
	&ignored,
	&noListener,
	&backlog,
	&notTaken,
	&noAnswer,
	&notFlooded,
	&wrongMAC,
	&neighbour,
}
