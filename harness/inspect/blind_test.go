package inspect

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// IPVS is not in every kernel: what it says of itself is in a file here.
func TestBlindSpotsOfIPVS(t *testing.T) {
	t.Parallel()
	const header = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
	for text, want := range map[string][]string{
		header: nil,
		header + "TCP  0A000102:0050 rr  \n  -> 0A000201:0050      Masq    1      0          0         \n": {"1 services of IPVS"},
		header + "UDP  [fd00:0001::0002]:0035 wrr\nFWM  00000001 rr \n":                                    {"2 services of IPVS"},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "netfilter"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ip_vs"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		proc, err := unix.Open(filepath.Join(dir, "netfilter"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := &BlindSpots{route: -1, diag: -1, xfrm: -1, proc: proc, files: map[string]int{}, buf: make([]byte, 64<<10)}
		got, err := b.collect(b.balances)
		if b.Close(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
