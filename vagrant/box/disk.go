package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/host"
)

// The disk in MiB: a boot sector with syslinux's loader, a FAT that it finds the
// kernel in, and the root. Files are made of files: no loop device, no mount.
const (
	diskSize  = 4096
	bootStart = 1
	bootSize  = 128
	rootStart = bootStart + bootSize
	rootSize  = diskSize - rootStart

	mib       = 1 << 20
	sectors   = mib / 512
	diskImage = "box.img" // so vagrant-libvirt wants it
)

// table is the partition table, as sfdisk reads it.
func table() string {
	return fmt.Sprintf("label: dos\nstart=%d, size=%d, type=e, bootable\nstart=%d, size=%d, type=83\n",
		bootStart*sectors, bootSize*sectors, rootStart*sectors, rootSize*sectors)
}

// makeDisk makes box.img of the root, which it uses up.
func makeDisk(scratch, root string) error {
	raw, fat := filepath.Join(scratch, "raw"), filepath.Join(scratch, "fat")
	if err := sized(raw, diskSize); err != nil {
		return err
	}
	partition := host.Command("sfdisk", "--quiet", raw)
	partition.Stdin = strings.NewReader(table())
	if _, err := host.OutputOf(partition); err != nil {
		return err
	}
	if err := makeBoot(scratch, root, fat); err != nil {
		return err
	}
	if err := overwrite(raw, "/usr/lib/syslinux/mbr/mbr.bin", 0); err != nil {
		return err
	}
	if err := overwrite(raw, fat, bootStart*mib); err != nil {
		return err
	}
	err := host.Run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root,
		"-E", fmt.Sprintf("offset=%d,root_owner=0:0", rootStart*mib), raw, fmt.Sprintf("%dk", rootSize<<10))
	if err != nil {
		return err
	}
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	return host.Run("qemu-img", "convert", "-O", "qcow2", raw, filepath.Join(scratch, diskImage))
}

// makeBoot makes the file system that syslinux boots from.
func makeBoot(scratch, root, fat string) error {
	if err := sized(fat, bootSize); err != nil {
		return err
	}
	if err := host.Run("mkfs.vfat", "-F", "16", "-h", fmt.Sprint(bootStart*sectors), "-n", "BOOT", fat); err != nil {
		return err
	}
	config := filepath.Join(scratch, "syslinux.cfg")
	if err := os.WriteFile(config, []byte(syslinux), 0o644); err != nil {
		return err
	}
	for name, pattern := range map[string]string{
		"vmlinuz":      filepath.Join(root, "boot", "vmlinuz-*"),
		"initrd.img":   filepath.Join(root, "boot", "initrd.img-*"),
		"syslinux.cfg": config,
	} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) != 1 {
			return fmt.Errorf("%s: there are %d of it", pattern, len(found))
		}
		if err := host.Run("mcopy", "-i", fat, found[0], "::"+name); err != nil {
			return err
		}
	}
	return host.Run("syslinux", "--install", fat)
}

// sized is a new file of so many MiB, all of it a hole.
func sized(path string, size int64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Truncate(size * mib)
}

// overwrite writes a file into another.
func overwrite(into, from string, offset int64) error {
	return host.Run("dd", "if="+from, "of="+into, "bs=64k", "conv=notrunc,sparse", "oflag=seek_bytes", fmt.Sprintf("seek=%d", offset), "status=none")
}
