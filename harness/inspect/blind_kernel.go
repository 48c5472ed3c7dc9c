package inspect

import "slices"

// encrypts looks for policies of xfrm that are to encrypt (linux/xfrm.h): what they take
// leaves as a packet of another kind, which nobody follows. Of those that block the kernel
// counts what they end.
func (b *BlindSpots) encrypts(add func(string, ...any)) error {
	const getPolicy, policySize, templates = 0x15, 168, 5 // XFRM_MSG_GETPOLICY, struct xfrm_userpolicy_info, XFRMA_TMPL
	if b.xfrm < 0 {
		return nil
	}
	n := 0
	err := b.dump(b.xfrm, getPolicy, nil, func(data []byte) {
		if len(data) < policySize {
			return
		}
		for attr := range attributes(data[policySize:]) {
			if attr == templates {
				n++
			}
		}
	})
	if n > 0 {
		add("%d policies of xfrm that encrypt", n)
	}
	return err
}

// balances looks for services of IPVS: it takes packets from rules' hands, and sends them to
// servers of its own choice.
func (b *BlindSpots) balances(add func(string, ...any)) error {
	services := 0
	err := b.lines("../ip_vs", func(fields []string) {
		if len(fields) > 1 && slices.Contains([]string{"TCP", "UDP", "SCTP", "FWM"}, fields[0]) {
			services++
		}
	})
	if services > 0 {
		add("%d services of IPVS", services)
	}
	return err
}
