//go:build !amd64

package harness

import "debug/elf"

// Elsewhere this test binary is a node's init.
const initMachine = elf.EM_NONE

var initCode []byte
