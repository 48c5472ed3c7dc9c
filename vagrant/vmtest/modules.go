package main

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// wantedModules are directories and files of a kernel's modules: all of
// networking, and what QEMU's devices want. What these depend on comes along.
var wantedModules = []string{
	"kernel/net/",
	"kernel/drivers/net/*.ko",
	"kernel/drivers/net/bonding/", "kernel/drivers/net/ipvlan/", "kernel/drivers/net/team/", "kernel/drivers/net/vxlan/",
	"kernel/drivers/net/wireguard/", "kernel/drivers/net/netdevsim/",
	"kernel/drivers/virtio/", "kernel/drivers/char/virtio_console.ko", "kernel/drivers/char/hw_random/virtio-rng.ko",
	"kernel/crypto/", "kernel/arch/x86/crypto/",
	"kernel/fs/overlayfs/", // a node has layers over the files of the machine
}

func wanted(name string) bool {
	name = strings.TrimSuffix(name, ".xz")
	return slices.ContainsFunc(wantedModules, func(want string) bool {
		if strings.HasSuffix(want, "/") {
			return strings.HasPrefix(name, want)
		}
		match, _ := path.Match(want, name)
		return match
	})
}

// closure is those modules of a modules.dep that are wanted, with what they
// depend on.
func closure(dep string) []string {
	needs := map[string][]string{}
	for line := range strings.Lines(dep) {
		name, list, _ := strings.Cut(line, ":")
		needs[name] = strings.Fields(list) // all of it: depmod follows the chain
	}
	chosen := map[string]bool{}
	for name, list := range needs {
		if wanted(name) {
			chosen[name] = true
			for _, need := range list {
				chosen[need] = true
			}
		}
	}
	var names []string
	for name := range chosen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// putModules puts the kernel's modules in, and the indexes of all that there are:
// a module that was left out is as good as one that the kernel lacks.
func putModules(a *archive, k kernel) error {
	dep, err := os.ReadFile(filepath.Join(k.modules, "modules.dep"))
	if err != nil {
		return err
	}
	into := "lib/modules/" + filepath.Base(k.modules)
	for _, name := range closure(string(dep)) {
		a.copy(path.Join(into, name), filepath.Join(k.modules, name))
	}
	indexes, err := filepath.Glob(filepath.Join(k.modules, "modules.*"))
	for _, index := range indexes {
		a.copy(path.Join(into, filepath.Base(index)), index)
	}
	return errors.Join(err, a.err)
}
