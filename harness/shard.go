package harness

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// shardVar is which part of all tests this run is: 2/5 is the second of five. With
// /5 the part is that of a Kubernetes Indexed Job, which counts from 0 in indexVar.
const (
	shardVar = "NSTEST_SHARD"
	indexVar = "JOB_COMPLETION_INDEX"
)

// OtherShard says that another run has the test of that name, and which:
// "in another shard: 3/5". It is "" when this one has it. NSTEST_SHARD splits tests
// over machines: with 2/5 a run has the second of five parts, with /5 the one that
// JOB_COMPLETION_INDEX (Kubernetes) says, from 0 on. Parts are of about one size, the
// same on every machine, and each test is in exactly one. Without the variable a run
// has all. Main returns 1 where the variable is neither.
//
// A Ginkgo suite asks before each spec:
//
//	var _ = BeforeEach(func() {
//		if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
//			Skip(other)
//		}
//	})
//
// vagrant/merge makes one report of all shards'. It knows by these words which specs
// a report leaves to others, and what is missing when none has them.
func OtherShard(name string) string {
	s, err := theShard()
	if err != nil {
		return ""
	}
	return s.other(name)
}

// shard is a part of many, counted from 1; the zero shard is all.
type shard struct{ part, of int }

// other is what OtherShard says.
func (s shard) other(name string) string {
	if s.of == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(name)) // names are alike, and a simple hash is uneven
	part := int(binary.BigEndian.Uint64(sum[:])%uint64(s.of)) + 1
	if part == s.part {
		return ""
	}
	return fmt.Sprintf("in another shard: %d/%d", part, s.of)
}

var theShard = sync.OnceValues(func() (shard, error) { return parseShard(os.Getenv(shardVar), os.Getenv(indexVar)) })

func parseShard(text, index string) (shard, error) {
	if text == "" {
		return shard{}, nil
	}
	wrong := fmt.Errorf("%s=%s is no part of several: 2/5 is the second of five, /5 the one that %s says", shardVar, text, indexVar)
	first, second, found := strings.Cut(text, "/")
	of, err := strconv.Atoi(second)
	if !found || err != nil || of < 1 {
		return shard{}, wrong
	}
	part := 0
	if first != "" {
		part, err = strconv.Atoi(first)
	} else if part, err = strconv.Atoi(index); err == nil {
		part++
	}
	if err != nil || part < 1 || part > of {
		return shard{}, wrong
	}
	return shard{part, of}, nil
}
