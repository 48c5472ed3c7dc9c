package rules

const (
	registerBytes = 80
	firstShort    = 8 // NFT_REG32_00
)

// Registers are a rule's, with something said of each byte. The kernel numbers them twice:
// four of 16 bytes (1 to 4), and the same memory as sixteen of 4 bytes (8 to 23); the
// verdict has the first 16 bytes.
type Registers[T any] [registerBytes]T

func offsetOf(register uint32) int {
	if register >= firstShort {
		return int(register-firstShort)*4 + 16
	}
	return int(register) * 16
}

// Part are so many bytes of a register, as far as there are so many.
func (r *Registers[T]) Part(register uint32, size int) []T {
	at := min(offsetOf(register), registerBytes)
	return r[at:min(at+size, registerBytes)]
}

// Load is the part that is written where so many bytes are loaded, which the kernel fills up
// with zeros to a multiple of 4; nothing is said of it any more.
func (r *Registers[T]) Load(register uint32, size int) []T {
	part := r.Part(register, (size+3)&^3)
	clear(part)
	return part
}
