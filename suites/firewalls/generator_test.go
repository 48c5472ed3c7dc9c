package firewalls_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// generator is one of Debian's firewalls. It is asked for what is typical: the box
// stops what comes in but ssh (not too often) and the web from the lan, forwards
// from the lan to the wan, but no mail, hides the lan's IPv4 behind its own address,
// and logs what it stops; in both families.
type generator struct {
	name string
	// unpacked is the package whose root has the program.
	unpacked string
	// script makes the ruleset, in sh. It runs at a router with the ports lan and
	// wan, in a directory of its own, $DIR; $ROOT has the package. It leaves the
	// ruleset in rules.nft, or in rules.ip4 and rules.ip6 as iptables-restore takes it.
	script string
	// asked is what the kernel is to have of it, as nft or iptables-save lists it.
	asked ruleset
	// matrix is what passes of ICMP, the web and names.
	matrix string
	// stops is where pc and site are stopped on their way to fw, and site on its way
	// to pc: see stopped.
	stops string
}

func (g *generator) String() string { return g.name }

var generators = []*generator{ufw, firewalld, shorewall, ferm}

// each is what a table has for each generator.
func each(body any) []any {
	entries := []any{body}
	for _, g := range generators {
		entries = append(entries, Entry(fmt.Sprintf("of %s", g), g))
	}
	return entries
}

// made are the rulesets so far: each is made once.
var made struct {
	sync.Mutex
	by map[string]ruleset
}

// ruleset is what the generator makes of its configuration. Where its package is not
// unpacked, as in a guest, it is what the -keep of another machine has kept.
func (g *generator) ruleset() ruleset {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool, harness.IptablesTool)
	made.Lock()
	defer made.Unlock()
	if r, ok := made.by[g.name]; ok {
		return r
	}
	root, err := harness.PackageRoot(g.unpacked)
	if err == nil {
		_, err = os.Stat(root)
	}
	r := read(filepath.Join("testdata", g.name))
	if err == nil || r.String() == "" {
		harness.Require(GinkgoTB(), harness.Unpacked(g.unpacked))
		r = g.run(root)
	}
	if made.by == nil {
		made.by = map[string]ruleset{}
	}
	made.by[g.name] = r
	return r
}

// shut makes the machine's files read-only for a script, but for its own directory:
// a generator that would write to them fails.
const shut = `
mount --bind "$DIR" "$DIR"
for dir in /etc /run /var "$ROOT"; do
	mount --rbind "$dir" "$dir"
	mount -o remount,bind,ro "$dir"
done
mount --bind "$DIR" "$DIR"
cd "$DIR"
`

// run runs the script, at a router that is there for that alone.
func (g *generator) run(root string) ruleset {
	GinkgoHelper()
	dir := GinkgoTB().TempDir()
	cmd := newOffice(GinkgoTB(), ruleset{}).fw.Command("sh", "-eu", "-c", shut+g.script)
	cmd.Dir, cmd.Env = dir, surroundings(root, dir)
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	r := read(filepath.Join(dir, "rules"))
	Expect(r.String()).NotTo(BeEmpty(), "%s", out)
	return r
}

// surroundings are the environment in which a package's programs run from its root.
func surroundings(root, dir string) []string {
	GinkgoHelper()
	there := func(patterns ...string) (paths []string) {
		for _, pattern := range patterns {
			found, err := filepath.Glob(root + pattern)
			Expect(err).NotTo(HaveOccurred())
			paths = append(paths, found...)
		}
		return paths
	}
	variable := func(name string, dirs ...string) string { return name + "=" + strings.Join(dirs, ":") }
	bins := []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	return []string{
		"ROOT=" + root, "DIR=" + dir, "HOME=" + dir, "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
		variable("PATH", append(bins, there(bins...)...)...),
		variable("LD_LIBRARY_PATH", there("/usr/lib/*-linux-*", "/lib/*-linux-*")...),
		variable("PYTHONPATH", there("/usr/lib/python3/dist-packages")...),
		variable("PERL5LIB", there("/usr/share/perl5", "/usr/share/perl/*", "/usr/lib/*-linux-*/perl5/*", "/usr/lib/*-linux-*/perl/*")...),
		variable("GI_TYPELIB_PATH", there("/usr/lib/*-linux-*/girepository-1.0")...),
	}
}
