package inspect_test

import (
	"os"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A socket that hears of links says once that something was changed; one that is closed says
// nothing, and does not go on trying.
func TestHear(t *testing.T) {
	t.Parallel()
	node := harness.Up(t, office(plain)).Node("fw")
	var fd int
	err := node.Do(func() (err error) {
		fd, err = inspect.Hear(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "news")
	if inspect.Drain(fd) {
		t.Error("nothing was changed")
	}
	if err := node.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrsOf("br")}); err != nil {
		t.Fatal(err)
	}
	if !inspect.Drain(fd) || inspect.Drain(fd) {
		t.Error("a bridge is news, once")
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if inspect.Drain(-1) {
		t.Error("no socket has news")
	}
	if _, err := inspect.Hear(unix.NETLINK_ROUTE, 1<<20); err == nil || !strings.HasPrefix(err.Error(), "join group 1048576: ") {
		t.Error(err)
	}
}
