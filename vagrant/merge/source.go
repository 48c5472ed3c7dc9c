package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nstest/nstest/vagrant/internal/report"
	"github.com/onsi/ginkgo/v2/types"
)

// source is a suite's report, and the file that it was in.
type source struct {
	file string
	types.Report
}

// read reads the files, and of the directories those that are Ginkgo's reports, each
// once, and not the one that an earlier merge wrote. What it cannot read is an error
// beside the rest.
func read(paths []string, written string) (sources []source, err error) {
	had := map[string]bool{filepath.Clean(written): true}
	for _, path := range paths {
		files, wrong := find(filepath.Clean(path))
		err = errors.Join(err, wrong)
		for _, file := range files {
			if had[file] {
				continue
			}
			had[file] = true
			reports, wrong := report.Read(file)
			if wrong != nil {
				err = errors.Join(err, fmt.Errorf("read %s: %w: is it cut, or no report of --json-report?", file, wrong))
			}
			for _, r := range reports {
				sources = append(sources, source{file, r})
			}
		}
	}
	return sources, err
}

// find is the file itself, or the reports in a directory.
func find(path string) (files []string, err error) {
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if file == path || filepath.Ext(file) == ".json" && isGinkgos(file) {
			files = append(files, file)
		}
		return nil
	})
	return files, err
}

// isGinkgos says whether a file begins like a report, however it ends. There may be
// other JSON in a directory.
func isGinkgos(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return true // reading it will say why
	}
	defer f.Close()
	var start [64]byte
	n, _ := f.Read(start[:])
	text := bytes.Join(bytes.Fields(start[:n]), nil)
	return bytes.HasPrefix(text, []byte(`[{"SuitePath":`))
}
