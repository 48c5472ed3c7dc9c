package harness

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const sysctlRoot = "/proc/sys/"

// newSysctls are the kernel parameters of a namespace that was just made, by file.
var newSysctls = sync.OnceValues(func() (map[string]string, error) {
	values := map[string]string{}
	grounds, err := makeGrounds([]func() error{func() error {
		return filepath.WalkDir(sysctlRoot+"net", func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				values[strings.TrimPrefix(path, sysctlRoot)] = strings.TrimSpace(slurp(path))
			}
			return nil
		})
	}})
	if err != nil {
		return nil, err
	}
	grounds[0].close()
	return values, nil
})

// sysctls writes each node's parameters that are not what they are in a new
// namespace. It is some 700 files a node, and takes longer than all the rest.
func (b *bundle) sysctls(w io.Writer) error {
	fresh, err := newSysctls()
	if err != nil {
		return err
	}
	return Visit(b.lab.now().nodes, func(node *Node) error {
		text := new(bytes.Buffer)
		compareSysctls(text, fresh)
		if text.Len() == 0 {
			text.WriteString("none\n")
		}
		_, err := fmt.Fprintf(w, "== %s\n\n%s\n", node.name, text)
		return err
	})
}

// compareSysctls compares those of the calling thread's namespace. An interface's are
// compared with what they are by default.
func compareSysctls(w io.Writer, fresh map[string]string) {
	links := map[string][]string{} // those that have a folder there
	for _, folder := range []string{"net/ipv4/conf", "net/ipv6/conf"} {
		entries, _ := os.ReadDir(sysctlRoot + folder)
		for _, entry := range entries {
			links[folder] = append(links[folder], entry.Name())
		}
	}
	for _, file := range slices.Sorted(maps.Keys(fresh)) {
		compareSysctl(w, file, fresh[file])
		folder, key, _ := strings.Cut(file, "/default/")
		for _, link := range links[folder] {
			if own := folder + "/" + link + "/" + key; fresh[own] == "" {
				compareSysctl(w, own, fresh[file])
			}
		}
	}
}

func compareSysctl(w io.Writer, file, fresh string) {
	value := strings.TrimSpace(slurp(sysctlRoot + file))
	if value != fresh && !strings.HasSuffix(file, "/mtu") { // each link has its own
		fmt.Fprintf(w, "%s = %s (new: %s)\n", sysctlKey(file), orDash(value), orDash(fresh))
	}
}

// sysctlKey is a parameter's name in dots, or with slashes where a part has dots.
func sysctlKey(file string) string {
	if strings.Contains(file, ".") {
		return file
	}
	return strings.ReplaceAll(file, "/", ".")
}
