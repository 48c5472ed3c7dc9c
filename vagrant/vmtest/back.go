package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// takeBack writes what the guest sends to where it belongs, and nothing to any
// other place than those that were asked for.
func takeBack(r io.Reader, wanted []string) error {
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // of a guest that ended early: see delivery
		}
		if err != nil {
			return fmt.Errorf("files of the guest: %w", err)
		}
		path := filepath.Clean(header.Name)
		if !within(path, wanted) {
			return fmt.Errorf("files of the guest: %s was not asked for", path)
		}
		switch header.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeReg:
			err = writeFile(path, archive, header.FileInfo().Mode().Perm())
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("files of the guest: %w", err)
		}
	}
}

func within(path string, wanted []string) bool {
	for _, root := range wanted {
		if path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/") {
			return true
		}
	}
	return false
}

func writeFile(path string, content io.Reader, perm os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
