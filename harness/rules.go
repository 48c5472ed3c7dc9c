package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Nft loads nftables text into the node's namespace, as nft -f does: all of it
// or nothing. What nft says about the text comes back with the line. Without
// nft on this machine the error is errors.ErrUnsupported.
//
// The kernel takes transactions of up to twice net.core.wmem_max from an ordinary user,
// some thousand rules. A larger text is loaded in parts: its new tables do nothing (they
// are dormant) till all is loaded, and then begin together. What it flushes or deletes is
// gone before that, and to a table that there was each part is added as it comes: only
// then may a part be left when the rest is refused, and the error says so.
func (n *Node) Nft(text string) error { return n.adds("nft", text) }

// Iptables loads iptables-save text into the node's namespace, as
// iptables-restore --noflush does. A text that is too large for one transaction of an
// ordinary user (see Nft) is added part by part, and policies and chains with the first.
// The program is the machine's own, or that of a topo.Backend; without it the error is
// errors.ErrUnsupported.
func (n *Node) Iptables(text string, backend ...topo.Backend) error {
	return n.adds(topo.LoaderOf("iptables", backend...), text)
}

// Ip6tables is Iptables for IPv6.
func (n *Node) Ip6tables(text string, backend ...topo.Backend) error {
	return n.adds(topo.LoaderOf("ip6tables", backend...), text)
}

// Ipset loads sets into the node's namespace, as ipset restore -exist does, which rules of
// iptables ask. Without the program ipset the error is errors.ErrUnsupported.
func (n *Node) Ipset(text string) error { return n.adds("ipset", text) }

// adds loads a text, which the node's twins have from then on.
func (n *Node) adds(loader, text string) error {
	n = n.here()
	rules := topo.Ruleset{Loader: loader, Text: text}
	return n.did(n.load(rules), func(n *Node) error { return n.load(rules) })
}

// Nftables hands f a connection of google/nftables in the node's namespace, and
// closes it afterwards. What f leaves unsent is flushed.
func (n *Node) Nftables(f func(*nftables.Conn) error) error {
	if f == nil {
		return at(errNoFunction, "node %s: nftables", n.Name())
	}
	var conn *nftables.Conn
	err := n.Do(func() error {
		var err error
		// Lasting: the socket is made here, where the thread is in the namespace.
		conn, err = nftables.New(nftables.AsLasting())
		return err
	})
	if err != nil {
		return at(err, "node %s: open nftables connection", n.Name())
	}
	// One that f keeps would dial anew once it is closed, where its caller is: on
	// the machine.
	conn.TestDial = func([]netlink.Message) ([]netlink.Message, error) { return nil, errConnClosed }
	err = f(conn)
	if err == nil {
		err = conn.Flush()
	}
	return at(errors.Join(err, conn.CloseLasting()), "node %s: nftables", n.name)
}

var errConnClosed = errors.New("the connection was good for the call of Node.Nftables alone")

// loadNft runs nft on the node's own thread.
func (n *Node) loadNft(text string) error {
	path, err := tool("nft", "nftables")
	if err != nil {
		return at(err, "load nft ruleset")
	}
	err = n.runNft(path, text)
	if errors.Is(err, unix.EMSGSIZE) {
		err = n.nftInParts(path, text)
	}
	return at(err, "load nft ruleset")
}

// runNft has nft load text as one transaction. The error is EMSGSIZE where that is too large.
func (n *Node) runNft(path, text string) error {
	out, err := n.pipe(text, path, "-f", "-")
	if err != nil {
		return &textError{"nft", out, err}
	}
	return nil
}

func (n *Node) loadIpset(text string) error {
	path, err := tool("ipset", "ipset")
	if err != nil {
		return at(err, "load ipset text")
	}
	out, err := n.pipe(text, path, "restore", "-exist")
	if err != nil {
		err = &textError{"ipset", out, err}
	}
	return at(err, "load ipset text")
}

func (n *Node) loadIptables(loader, text string) error {
	name := loader + "-restore"
	path, err := tool(name, "iptables")
	if err != nil {
		return at(err, "load %s text", loader)
	}
	run := func(text string) error { return n.runIptables(name, path, text) }
	err = run(text)
	if errors.Is(err, unix.EMSGSIZE) {
		err = iptablesInParts(text, run)
	}
	return at(err, "load %s text", loader)
}

// runIptables has iptables-restore load text, each table as one transaction. The error is
// EMSGSIZE where that is too large.
func (n *Node) runIptables(name, path, text string) error {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), loaderBound, errLoaderHangs)
	defer cancel()
	cmd := n.CommandContext(ctx, path, "--noflush")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return &textError{name, out, errors.Join(err, context.Cause(ctx))}
	}
	return nil
}

// pipe runs a program that ends by itself on the node's own thread.
func (n *Node) pipe(input, path string, args ...string) (out []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), loaderBound, errLoaderHangs)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = loaderDelay
	cmd.Stdin = strings.NewReader(input)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	err = n.Do(func() error {
		out, err = cmd.CombinedOutput()
		return err
	})
	return out, errors.Join(err, context.Cause(ctx))
}

// loaderBound is how long nft or iptables-restore may take. A ruleset of 100,000 rules
// takes some seconds.
var loaderBound = 2 * time.Minute

// loaderDelay is how long what a loader has said may take to be read once it ended: on a
// machine with very much to do, this process may have no turn for a second. A loader
// leaves nobody behind who would keep its pipes.
const loaderDelay = 10 * time.Second

var errLoaderHangs = errors.New("it did not end in time, and was killed")

// tool finds a program, also where an ordinary user's PATH does not look.
func tool(name, debianPackage string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", missing{fmt.Sprintf("%s is not on this machine: apt-get install %s", name, debianPackage)}
}

// textError is a ruleset that its loader refused.
type textError struct {
	loader string
	output []byte
	err    error
}

// Error is what the loader said, with the line that it said it of.
func (e *textError) Error() string {
	said := strings.TrimSpace(strings.ReplaceAll(string(e.output), "/dev/stdin:", "line "))
	if said == "" {
		return fmt.Sprintf("%s: %v", e.loader, e.err)
	}
	if errors.Is(e.err, errLoaderHangs) {
		said += ": " + errLoaderHangs.Error()
	}
	if hint := e.hint(); hint != "" {
		said = strings.TrimSuffix(said, ".") + hint
	}
	return fmt.Sprintf("%s: %s", e.loader, said)
}

func (e *textError) hint() string {
	return tablesHint(e.loader, string(e.output), inspect.LegacyFiles())
}

// Unwrap is how the loader ended.
func (e *textError) Unwrap() error { return e.err }

// Is says whether the kernel lacks the loader's tables, or found the text too large for one message.
func (e *textError) Is(err error) bool {
	if err == errors.ErrUnsupported {
		return e.hint() != ""
	}
	return err == unix.EMSGSIZE && strings.Contains(strings.ToLower(string(e.output)), unix.EMSGSIZE.Error())
}
