package harness

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// handleFamilies are the netlink families that package netlink speaks (its calls of
// Execute). For any that its handle has no socket of, it opens one in the caller's
// namespace: that is the machine's.
var handleFamilies = []int{
	unix.NETLINK_ROUTE, unix.NETLINK_XFRM, unix.NETLINK_NETFILTER,
	unix.NETLINK_GENERIC, unix.NETLINK_INET_DIAG, unix.NETLINK_RDMA,
}

// handle is a netlink handle that works in its namespace or fails: it has a socket of
// every family, a dead one where the kernel lacks the family, and keeps them, dead,
// after its end. (Handle.Close forgets them, and what is asked afterwards goes to the
// caller's namespace.)
type handle struct {
	*netlink.Handle
	sockets map[int]*nl.SocketHandle
}

// openHandle opens a handle in the calling thread's namespace.
func openHandle() (*handle, error) {
	opened, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	h := &handle{Handle: opened}
	if h.sockets, err = socketsOf(opened); err != nil {
		opened.Close()
		return nil, err
	}
	for _, family := range handleFamilies[1:] {
		if err := h.add(family); err != nil {
			h.close()
			return nil, fmt.Errorf("netlink family %d: %w", family, err)
		}
	}
	return h, nil
}

// deadHandle is one of a namespace that is gone: whatever is asked of it fails.
func deadHandle() (*handle, error) {
	h, err := openHandle()
	if err == nil {
		h.close()
	}
	return h, err
}

// add opens a socket of a family, or a dead one where this kernel has none.
func (h *handle) add(family int) error {
	another, err := netlink.NewHandle(family)
	lacks := errors.Is(err, unix.EPROTONOSUPPORT)
	if lacks {
		another, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	}
	if err != nil {
		return err
	}
	sockets, err := socketsOf(another)
	if err != nil {
		another.Close()
		return err
	}
	for _, socket := range sockets {
		if lacks {
			deaden(socket)
		}
		h.sockets[family] = socket
	}
	return nil
}

// close ends the sockets: whatever is asked from then on fails.
func (h *handle) close() {
	for _, socket := range h.sockets {
		deaden(socket)
	}
}

// deaden puts a descriptor that nothing can be sent to in the place of a socket, which
// is closed by it. Closed in the ordinary way its errors would be none of the kernel's,
// and package netlink panics where it takes them for such. The descriptor goes with
// the handle.
func deaden(socket *nl.SocketHandle) {
	nowhere, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Dup3(nowhere, socket.Socket.GetFd(), unix.O_CLOEXEC)
		_ = unix.Close(nowhere)
	}
	if err != nil { // no descriptors
		socket.Close()
	}
	runtime.KeepAlive(socket) // else its descriptor is closed meanwhile, and the number another's
}

// socketsOf is a handle's own map of sockets, which it does not show.
func socketsOf(h *netlink.Handle) (map[int]*nl.SocketHandle, error) {
	field := reflect.ValueOf(h).Elem().FieldByName("sockets")
	if !field.IsValid() || field.Type() != reflect.TypeFor[map[int]*nl.SocketHandle]() {
		return nil, errors.New("this version of package netlink keeps its sockets elsewhere")
	}
	return *(*map[int]*nl.SocketHandle)(unsafe.Pointer(field.UnsafeAddr())), nil
}
