package inspect

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

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
	const file = "../ip_vs" // from net/netfilter
	if b.proc < 0 {
		return nil
	}
	fd, err := unix.Openat(b.proc, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) { // the module is not there
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: file, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Pread(fd, b.buf, 0)
	if err != nil {
		return &os.PathError{Op: "read", Path: file, Err: err}
	}
	services := 0
	for line := range strings.Lines(string(b.buf[:n])) {
		if fields := strings.Fields(line); len(fields) > 1 && slices.Contains([]string{"TCP", "UDP", "SCTP", "FWM"}, fields[0]) {
			services++
		}
	}
	if services > 0 {
		add("%d services of IPVS", services)
	}
	return nil
}
