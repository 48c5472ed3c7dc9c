package harness

import (
	"errors"
	"io"
	"os"
)

// StdinPipe is a pipe to the program's standard input, as in exec.Cmd: it is called
// before Start, and closing it is the input's end.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if c = c.here(); c.Stdin != nil {
		return nil, at(errors.New("it has a Stdin already"), "pipe to %s", c.Path)
	}
	read, write, err := c.pipe()
	if err != nil {
		return nil, err
	}
	c.Stdin = read
	c.closeAfterStart, c.closeAfterWait = append(c.closeAfterStart, read), append(c.closeAfterWait, write)
	return write, nil
}

// StdoutPipe is a pipe from the program's standard output, as in exec.Cmd: it is called
// before Start, and read to its end before Wait, which closes it.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) {
	c = c.here()
	return c.pipeFrom(&c.Stdout, "Stdout")
}

// StderrPipe is StdoutPipe for the standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) {
	c = c.here()
	return c.pipeFrom(&c.Stderr, "Stderr")
}

func (c *Cmd) pipeFrom(stream *io.Writer, name string) (io.ReadCloser, error) {
	if *stream != nil {
		return nil, at(errors.New("it has a "+name+" already"), "pipe from %s", c.Path)
	}
	read, write, err := c.pipe()
	if err != nil {
		return nil, err
	}
	*stream = write
	c.closeAfterStart, c.closeAfterWait = append(c.closeAfterStart, write), append(c.closeAfterWait, read)
	return read, nil
}

func (c *Cmd) pipe() (read, write *os.File, err error) {
	if c.node == nil {
		return nil, nil, at(errNoNode, "make a pipe for %s", c.Path)
	}
	if c.command != nil {
		return nil, nil, at(errors.New("the command was started already"), "make a pipe for %s", c.Path)
	}
	if read, write, err = os.Pipe(); err != nil {
		return nil, nil, at(err, "make a pipe for %s", c.Path)
	}
	return read, write, nil
}

func closeAll(closers []io.Closer) {
	for _, c := range closers {
		_ = c.Close()
	}
}
