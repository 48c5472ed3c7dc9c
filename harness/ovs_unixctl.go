package harness

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// unixctlBound is how long a daemon may take over a command.
const unixctlBound = 30 * time.Second

// unixctl sends a command over a connected socket, and reads what comes of it (JSON-RPC 1.0).
func unixctl(fd int, command string, args []string) (string, error) {
	if args == nil {
		args = []string{}
	}
	request, err := json.Marshal(map[string]any{"id": 0, "method": command, "params": args})
	if err != nil {
		return "", err
	}
	bound := unix.NsecToTimeval(unixctlBound.Nanoseconds())
	err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &bound), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &bound))
	if err != nil {
		return "", err
	}
	for len(request) > 0 {
		n, err := unix.Write(fd, request)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		request = request[n:]
	}
	var answer struct{ Result, Error *string }
	if err := json.NewDecoder(reader(fd)).Decode(&answer); err != nil {
		return "", err
	}
	if answer.Error != nil {
		return "", errors.New(strings.TrimSpace(*answer.Error))
	}
	if answer.Result == nil {
		return "", errors.New("it answers nothing")
	}
	return *answer.Result, nil
}

// reader reads a descriptor.
type reader int

func (r reader) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(r), p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, errors.New("the connection was closed")
		default:
			return n, nil
		}
	}
}
