package harness

import (
	"errors"
	"fmt"
	"io"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// conntrack writes the connections that the kernel tracks. Where it has no file of
// them it is asked; one that tracks nothing has none.
func (s *state) conntrack(w io.Writer) error {
	file, err := own("nf_conntrack")
	if err != nil {
		return err
	}
	if file != nil {
		defer file.Close()
		_, err := io.Copy(w, io.LimitReader(file, tableBound))
		return err
	}
	return askConntrack(w)
}

// askConntrack asks the kernel for what it tracks.
func askConntrack(w io.Writer) error {
	handle, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
	if err != nil {
		return noTracking(err)
	}
	defer handle.Close()
	_ = handle.SetSocketTimeout(answerBound)
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		flows, err := handle.ConntrackTableList(netlink.ConntrackTable, family)
		if whole(err) != nil {
			return noTracking(err)
		}
		for _, flow := range flows {
			fmt.Fprintln(w, flow)
		}
	}
	return nil
}

// tableBound is how much is read of a table that may be as long as the machine is
// big, in bytes.
const tableBound = 4 << 20

// noTracking is no error where the kernel says that it tracks no connections.
func noTracking(err error) error {
	for _, says := range []error{unix.EPROTONOSUPPORT, unix.EOPNOTSUPP, unix.EINVAL} {
		if errors.Is(err, says) {
			return nil
		}
	}
	return err
}
