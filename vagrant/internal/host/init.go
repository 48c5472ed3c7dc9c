package host

import (
	"errors"
	"io/fs"
	"syscall"
)

// RunAsInit runs a program to its end and reaps whatever else ends meanwhile, as init
// must. Death by signal n is 128+n.
func RunAsInit(path string, args []string, attr *syscall.ProcAttr) (int, error) {
	pid, err := syscall.ForkExec(path, args, attr)
	if err != nil {
		return 0, &fs.PathError{Op: "exec", Path: path, Err: err}
	}
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		case ended == pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case ended == pid && status.Exited():
			return status.ExitStatus(), nil
		}
	}
}
