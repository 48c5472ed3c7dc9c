package harness

// Keep returns what the lab keeps under a key, which make makes at its first use:
// what a package knows of a lab lives and ends with it, and in no variable of the
// package. A key is a value of a type of the package's own, as with context.WithValue.
// Calls with the same key wait for each other; make may call Keep with other keys.
// A lab that is down keeps nothing new: make's value is returned, and forgotten. See also
// Node.Keep.
func (l *Lab) Keep(key any, make func() any) any { return l.here().keep(key, make) }

func (l *Lab) keep(key any, make func() any) any {
	l.mu.Lock()
	of, _ := key.(ofNode)
	slot := l.kept[key]
	if slot == nil {
		slot = &keptValue{}
		switch {
		case l.isDown, of.node != nil && of.node.isGone:
		case l.kept == nil:
			l.kept = map[any]*keptValue{key: slot}
		default:
			l.kept[key] = slot
		}
	}
	l.mu.Unlock()
	slot.once.Do(func() {
		if make != nil {
			slot.value = make()
		}
	})
	return slot.value
}
