package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"github.com/nstest/nstest/vagrant/internal/host"
)

// releases are Debian's, by the kernel that each came with. The meta package
// names the newest of that version.
var releases = map[string]string{
	"5.10": "bullseye",
	"6.1":  "bookworm",
	"6.12": "trixie",
}

const metaPackage = "linux-image-cloud-amd64"

// versions are the kernels that can be had, for messages.
func versions() string {
	var all []string
	for version := range releases {
		all = append(all, version)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// kernel is an unpacked kernel package.
type kernel struct {
	dir     string // with boot/ and lib/modules/ or usr/lib/modules/
	image   string // what boots
	modules string // the directory with modules.dep
}

// fetchKernel is the kernel of that version out of the cache, where apt has put
// it. Update asks for the newest.
func fetchKernel(version string, update bool) (kernel, error) {
	release, known := releases[version]
	if !known {
		return kernel{}, fmt.Errorf("kernel %s: there are %s", version, versions())
	}
	if runtime.GOARCH != "amd64" {
		return kernel{}, fmt.Errorf("kernel %s: only for amd64, and this is %s", version, runtime.GOARCH)
	}
	unlock, err := cache.Lock("kernel-" + version)
	if err != nil {
		return kernel{}, err
	}
	defer unlock()
	parent, err := cache.Dir("kernel", version)
	if err != nil {
		return kernel{}, err
	}
	have, err := unpacked(parent)
	if err == nil && !update {
		return have, nil
	}
	dir, err := fetchPackage(release, parent)
	if err != nil {
		return kernel{}, fmt.Errorf("kernel %s: %w", version, err)
	}
	return look(dir)
}

// unpacked is the kernel that is there already. There is one at most: another is
// only unpacked beside it until it takes its place.
func unpacked(parent string) (kernel, error) {
	found, err := filepath.Glob(filepath.Join(parent, "linux-image-*"))
	for _, dir := range found {
		if !strings.HasSuffix(dir, partSuffix) {
			return look(dir)
		}
	}
	return kernel{}, errors.Join(os.ErrNotExist, err)
}

const partSuffix = ".part"

func look(dir string) (kernel, error) {
	image, err := one(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil {
		return kernel{}, err
	}
	modules, err := one(filepath.Join(dir, "lib", "modules", "*"))
	if err != nil {
		modules, err = one(filepath.Join(dir, "usr", "lib", "modules", "*"))
	}
	return kernel{dir, image, modules}, err
}

func one(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("there are %d of %s", len(found), pattern)
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// fetchPackage downloads the newest kernel package of the release and unpacks it,
// in place of what was there.
func fetchPackage(release, parent string) (dir string, err error) {
	apt, err := newApt(release)
	if err != nil {
		return "", err
	}
	name, err := apt.dependency(metaPackage, "linux-image-")
	if err != nil {
		return "", err
	}
	dir = filepath.Join(parent, name)
	part := dir + partSuffix
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return "", err
	}
	if err := apt.unpack(name, part); err != nil {
		return "", err
	}
	base := filepath.Join(part, "usr")
	if _, err := os.Stat(filepath.Join(part, "lib", "modules")); err == nil {
		base = part
	}
	modules, err := one(filepath.Join(base, "lib", "modules", "*"))
	if err != nil {
		return "", err
	}
	// The package's own scripts would make the index of the modules.
	if err := host.Run("depmod", "-b", base, filepath.Base(modules)); err != nil {
		return "", err
	}
	others, err := filepath.Glob(filepath.Join(parent, "linux-image-*"))
	for _, other := range others {
		if other != part {
			err = errors.Join(err, os.RemoveAll(other))
		}
	}
	return dir, errors.Join(err, os.Rename(part, dir))
}
