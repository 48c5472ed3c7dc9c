package main

import (
	"slices"
	"testing"
)

func TestClosureBringsWhatModulesDependOn(t *testing.T) {
	got := closure(`kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko
kernel/lib/crc16.ko:
kernel/lib/libcurve.ko.xz: kernel/lib/more.ko.xz
kernel/lib/more.ko.xz:
kernel/drivers/net/wireguard/wireguard.ko.xz: kernel/lib/libcurve.ko.xz kernel/lib/more.ko.xz
kernel/drivers/net/dummy.ko:
kernel/drivers/net/ethernet/intel/e1000.ko:
`)
	want := []string{"kernel/drivers/net/dummy.ko", "kernel/drivers/net/wireguard/wireguard.ko.xz",
		"kernel/lib/libcurve.ko.xz", "kernel/lib/more.ko.xz"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
