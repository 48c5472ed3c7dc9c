package account

import "slices"

// line is one packet's way through the rules of a station: the original's, or that of
// a clone.
type line struct {
	records []*Record
	clone   bool
	exit    *exit
	gap     *visit // as visit.gap
}

func (l *line) last() *Record { return l.records[len(l.records)-1] }

// came says whether it came to a hook of a layer.
func (l *line) came(layer Layer, hook Hook) bool {
	return slices.ContainsFunc(l.records, func(r *Record) bool { return r.Layer == layer && slices.Contains(r.Hooks, hook) })
}

// left says whether it has passed the last of the hooks, and was to leave the station.
func (l *line) left() bool { return l.came(IP, PostroutingHook) || l.came(Bridge, PostroutingHook) }

// stop is the record that ended it; nil when none did.
func (l *line) stop() *Record {
	for _, r := range l.records {
		if r.Drop != nil || r.Took != "" {
			return r
		}
	}
	return nil
}

// out is the record that tells how it was to leave.
func (l *line) out() *Record {
	for _, r := range slices.Backward(l.records) {
		if r.Layer != Device && r.Out != 0 {
			return r
		}
	}
	return l.last()
}

// lost says whether it neither left nor was seen to end.
func (l *line) lost() bool { return l.exit == nil && l.stop() == nil && !l.came(IP, InputHook) }

// escaped says whether it is out of the rules' hands without having passed them all, and
// not by being let in: what leaves the station without a record may be it.
func (l *line) escaped() bool {
	if l.exit != nil || l.left() || l.came(IP, InputHook) {
		return false
	}
	stop := l.stop()
	return stop == nil || stop.Drop == nil
}

// compatible says whether two sightings may be of the same packet, whatever was made of it.
func compatible(h, i Header) bool {
	if h.Piece.is() && i.Piece.is() && h.Piece.Offset != i.Piece.Offset {
		return false
	}
	return h.Identity == i.Identity || h.Identity == 0 || i.Identity == 0
}

// sameTuple is in the likeness of headers with the same addresses and ports.
const sameTuple = 1 << 3

// likeness is how much one header is like another; 0 when they are of two packets.
func likeness(h, i Header) int {
	if !compatible(h, i) {
		return 0
	}
	n := 1
	if h.Length == i.Length {
		n |= 1 << 1
	}
	if h.TTL == i.TTL {
		n |= 1 << 2
	}
	if h.Tuple == i.Tuple {
		n |= sameTuple
	}
	if h.Identity == i.Identity {
		n |= 1 << 4
	}
	return n
}

// best is the element that scores highest, the first of equals; false when none
// scores above 0.
func best[T any](all []T, score func(T) int) (found T, ok bool) {
	most := 0
	for _, t := range all {
		if n := score(t); n > most {
			found, most, ok = t, n, true
		}
	}
	return found, ok
}
