package fence

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
)

// proxy asks the proxy for a name that it is not to connect to, and for one that it is.
func (c *check) proxy() (Finding, error) {
	p := c.world.Proxy
	if p == nil {
		return absent("the world names no proxy")
	}
	denied, err := c.connect(p, p.Denied)
	if err != nil {
		return Finding{State: Unproven, Detail: err.Error()}, nil
	}
	if denied/100 == 2 {
		return Finding{State: Open, Detail: fmt.Sprintf("the proxy connects to %s", p.Denied)}, nil
	}
	f := Finding{State: Blocked, Detail: fmt.Sprintf("the proxy says %d of %s", denied, p.Denied)}
	allowed, err := c.connect(p, p.Allowed)
	f.Control = fmt.Sprintf("it says %d of %s", allowed, p.Allowed)
	if err != nil {
		f.Control = err.Error()
	}
	if allowed/100 != 2 {
		f.State, f.Detail = Unproven, "the control failed: "+f.Control+"; "+f.Detail
	}
	return f, nil
}

// programBound is how long a proxy, or what is like one, may take.
const programBound = 2 * time.Second

// connect is what a proxy answers to CONNECT.
func (c *check) connect(p *Proxy, to string) (status int, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, programBound)
	defer cancel()
	conn, err := c.sandbox.Dial(ctx, "tcp", p.Addr)
	if err != nil {
		return 0, fmt.Errorf("the proxy is not reached: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(programBound)); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", to); err != nil {
		return 0, fmt.Errorf("ask the proxy for %s: %w", to, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return 0, fmt.Errorf("the proxy's answer about %s: %w", to, err)
	}
	return response.StatusCode, response.Body.Close()
}

// passes says whether data passes out of the sandbox.
func (c *Connection) passes(ctx context.Context) bool {
	end := time.Now().Add(patience)
	if given, ok := ctx.Deadline(); ok && given.Before(end) {
		end = given
	}
	word, err := c.write()
	return err == nil && c.reads(word, end)
}

// write sends a word that nobody has sent.
func (c *Connection) write() (word string, err error) {
	word = rand.Text()
	if err = c.inside.SetWriteDeadline(time.Now().Add(bound)); err == nil {
		_, err = c.inside.Write([]byte(word))
	}
	return word, err
}

// reads says whether a word comes out until a time.
func (c *Connection) reads(word string, end time.Time) bool {
	if c.outside.SetReadDeadline(end) != nil {
		return false
	}
	got := ""
	buf := make([]byte, 64)
	for !strings.Contains(got, word) {
		n, err := c.outside.Read(buf)
		if got += string(buf[:n]); err != nil {
			break
		}
	}
	return strings.Contains(got, word)
}

func (c *check) older() (Finding, error) {
	if c.world.Before == nil {
		return absent("the world has no connection that is older than the fence")
	}
	if c.world.Before.spent {
		return absent("the connection was tried by an earlier check: Connect again before the fence closes")
	}
	word, err := c.world.Before.write()
	if err != nil {
		return Finding{State: Unproven, Detail: "nothing can be sent over it: " + err.Error()}, nil
	}
	p := packet{protocol: wire.TCP, port: c.world.tcp()}
	var known bool
	if p.to, known = addrOf(c.world.Free, c.world.Outside, false); !known {
		return absent("there is no IPv4 address")
	}
	control, err := c.send(c.world.Free, c.world.Outside, p) // what was sent before has arrived by then
	if err != nil {
		return Finding{}, fmt.Errorf("control: %w", err)
	}
	if c.world.Before.reads(word, time.Now().Add(after)) {
		return Finding{State: Open, Detail: "what is sent over it still arrives"}, nil
	}
	c.world.Before.spent = true
	f := Finding{State: Blocked, Detail: "what was sent over it did not arrive", Control: fmt.Sprintf("what %s sent afterwards did, and before the fence closed so did this", c.world.Free)}
	if !control.arrived {
		f.State, f.Control = Unproven, fmt.Sprintf("what %s sent did not arrive either: %s", c.world.Free, control.cause)
		f.Detail = "the control failed: " + f.Control
	}
	return f, nil
}

// sockets tries the machine's unix sockets, as a program in the sandbox finds them.
func (c *check) sockets() (Finding, error) {
	if len(c.world.Sockets) == 0 || c.world.Root == "" {
		return absent("the world names no unix sockets, or not the sandbox's root")
	}
	var alive []string
	for _, path := range c.world.Sockets {
		if dials(path) {
			alive = append(alive, path)
		}
		if dials(filepath.Join(c.world.Root, path)) {
			return Finding{State: Open, Detail: path + " is reached in the sandbox"}, nil
		}
	}
	if len(alive) == 0 {
		return Finding{State: Unproven, Detail: "the control failed: nobody listens at " + strings.Join(c.world.Sockets, ", ")}, nil
	}
	return Finding{State: Blocked, Detail: "none of them is in the sandbox", Control: "the machine reaches " + strings.Join(alive, ", ")}, nil
}

func dials(path string) bool {
	conn, err := net.DialTimeout("unix", path, programBound)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// abstract tries abstract sockets: they are of a network namespace.
func (c *check) abstract() (Finding, error) {
	if len(c.world.Abstract) == 0 {
		return absent("the world names no abstract sockets")
	}
	var alive []string
	for _, name := range c.world.Abstract {
		inside, err := abstractIn(c.sandbox, name)
		if err != nil {
			return Finding{}, err
		}
		if inside {
			return Finding{State: Open, Detail: "@" + name + " is reached in the sandbox"}, nil
		}
		outside, err := abstractIn(c.world.Free, name)
		if err != nil {
			return Finding{}, err
		}
		if outside || dials("@"+name) {
			alive = append(alive, "@"+name)
		}
	}
	if len(alive) == 0 {
		return Finding{State: Unproven, Detail: "the control failed: nobody listens at @" + strings.Join(c.world.Abstract, ", @")}, nil
	}
	return Finding{State: Blocked, Detail: "the sandbox has a network namespace of its own", Control: "outside of it " + strings.Join(alive, ", ") + " is reached"}, nil
}

func abstractIn(node *harness.Node, name string) (reached bool, err error) {
	err = node.Do(func() error {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: "@" + name, Net: "unix"})
		if err == nil {
			reached = true
			return conn.Close()
		}
		var op *net.OpError
		if errors.As(err, &op) {
			return nil
		}
		return err
	})
	return reached, err
}
