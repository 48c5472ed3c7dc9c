package firewalls_test

import (
	"errors"
	"io/fs"
	"os"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// ruleset is a ruleset as text: nft's, or iptables-save's for each family.
type ruleset struct{ nft, ip4, ip6 string }

func (r ruleset) String() string { return r.nft + r.ip4 + r.ip6 }

// files are its parts, by the ends of their files' names.
func (r *ruleset) files() map[string]*string {
	return map[string]*string{".nft": &r.nft, ".ip4": &r.ip4, ".ip6": &r.ip6}
}

// read reads the files of a ruleset, as far as they are there.
func read(path string) (r ruleset) {
	GinkgoHelper()
	for end, text := range r.files() {
		content, err := os.ReadFile(path + end)
		if !errors.Is(err, fs.ErrNotExist) {
			Expect(err).NotTo(HaveOccurred())
		}
		*text = string(content)
	}
	return r
}

// write writes the files that read reads.
func (r ruleset) write(path string) {
	GinkgoHelper()
	for end, text := range r.files() {
		if *text != "" {
			Expect(os.WriteFile(path+end, []byte(*text), 0o644)).To(Succeed())
		}
	}
}

// give has a node load the ruleset when it comes up.
func (r ruleset) give(node *topo.Node) {
	if r.nft != "" {
		node.Nft(r.nft)
	}
	if r.ip4 != "" {
		node.Iptables(r.ip4)
	}
	if r.ip6 != "" {
		node.Ip6tables(r.ip6)
	}
}

// listed is what the kernel has at a node, with counters.
func listed(node *harness.Node) (r ruleset) {
	GinkgoHelper()
	for text, command := range map[*string][]string{
		&r.nft: {"nft", "list", "ruleset"}, &r.ip4: {"iptables-save", "--counters"}, &r.ip6: {"ip6tables-save", "--counters"},
	} {
		out, err := node.Command(command[0], command[1:]...).Output()
		Expect(err).NotTo(HaveOccurred())
		*text = string(out)
	}
	return r
}
