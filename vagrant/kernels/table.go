package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// results are the cells by suite and kernel, in the order they were asked for.
type results struct {
	suites, kernels []string
	cells           map[[2]string]cell
	policies        []string // what kernels do otherwise with the packets of one ruleset
}

// write writes the table in Markdown, which a terminal shows as well, and below
// it why specs failed or were skipped, and in what the kernels differ.
func (r results) write(w io.Writer) {
	rows := [][]string{append([]string{"suite"}, r.kernels...)}
	for _, suite := range r.suites {
		row := []string{suite}
		for _, kernel := range r.kernels {
			text := "not run"
			if c, ran := r.cells[[2]string{suite, kernel}]; ran {
				text = c.String()
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], len(text))
		}
	}
	for i, row := range rows {
		for k, text := range row {
			fmt.Fprintf(w, "| %-*s ", widths[k], text)
		}
		fmt.Fprintln(w, "|")
		if i == 0 {
			for _, width := range widths {
				fmt.Fprintf(w, "|%s", strings.Repeat("-", width+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
	fmt.Fprintln(w)
	for _, line := range append(r.notes(), r.policies...) {
		fmt.Fprintln(w, "- "+line)
	}
}

// notes are the skips, counted by reason, and the failures.
func (r results) notes() (lines []string) {
	for _, kernel := range r.kernels {
		for _, suite := range r.suites {
			for _, skip := range r.cells[[2]string{suite, kernel}].Skips() {
				lines = append(lines, fmt.Sprintf("%s %s: %s", kernel, suite, skip))
			}
		}
	}
	slices.Sort(lines)
	for _, kernel := range r.kernels {
		for _, suite := range r.suites {
			for _, f := range r.cells[[2]string{suite, kernel}].Failures {
				lines = append(lines, fmt.Sprintf("%s %s: %s", kernel, suite, f))
			}
		}
	}
	return lines
}

// ok holds when every suite ran on every kernel, and went well.
func (r results) ok() bool {
	for _, kernel := range r.kernels {
		for _, suite := range r.suites {
			if c, ran := r.cells[[2]string{suite, kernel}]; !ran || !c.ok() {
				return false
			}
		}
	}
	return len(r.kernels) > 0 && len(r.suites) > 0
}
