package account

import (
	"net/netip"
	"testing"
)

// An answer is that of the node where the very one began that the asker has got.
func TestWhoseAnswerTheAskerGot(t *testing.T) {
	t.Parallel()
	const asked = `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan> pre in 64
			fw #2 >wan out post 64
			fw/wan out 64
			site/wan in 64`
	// A device's rule at fw copies the frame as it comes in, so its MAC is fw's own.
	const relayed = `
			pc/lan out 64
			fw/lan in 64
			fw/side out 64
			fw #1 lan>side pre fwd post 64>63
			fw/side out 63
			two/side in 64 foreign
			two/side in 63 foreign`
	const back = `
			site/far out 64 answer
			two/far in 64 answer foreign
			two/side out 64 answer +30000
			fw/side in 64 answer
			fw #2 side>lan pre fwd post 64>63 answer
			fw/lan out 63 answer
			pc/lan in 63 answer`
	for name, r := range map[string]struct{ traced, timeline, want string }{
		"nobody's": {"fw", asked, ""},
		"the asker's own, of which nothing left it": {"pc", `
			pc/lo out 64
			pc/lo in 64
			pc/lo in 64 answer
			pc #1 >lo out 64 answer
			pc/lo out 64 answer`, "pc"},
		"the target's": {"fw", asked + `
			site/wan out 64 answer
			fw/wan in 64 answer
			fw #3 wan>lan pre fwd post 64>63 answer
			fw/lan out 63 answer
			pc/lan in 63 answer`, "site"},
		"another's, while the target's dies": {"fw", asked + `
			site/wan out 64 answer
			fw/wan in 64 answer
			fw #3 wan>lan pre fwd 64>63 answer drop=7
			fw #4 >lan out post 64 answer
			fw/lan out 64 answer
			pc/lan in 64 answer`, "fw"},
		"the first of two": {"fw", asked + `
			fw #4 >lan out post 64 answer
			fw/lan out 64 answer
			pc/lan in 64 answer
			site/wan out 64 answer
			fw/wan in 64 answer
			fw #3 wan>lan pre fwd post 64>63 answer
			fw/lan out 63 answer
			pc/lan in 63 answer`, "fw"},
		"the second of two, where the asker drops the first": {"fw pc", asked + `
			fw #4 >lan out post 64 answer
			fw/lan out 64 answer
			pc/lan in 64 answer
			pc #1 lan> pre in 64 answer drop=9
			site/wan out 64 answer
			fw/wan in 64 answer
			fw #3 wan>lan pre fwd post 64>63 answer
			fw/lan out 63 answer
			pc/lan in 63 answer
			pc #2 lan> pre in 63 answer`, "site"},
		"not that from elsewhere": {"fw", asked + `
			fw #4 >lan out post 64 answer from=10.0.1.2
			fw/lan out 64 answer from=10.0.1.2
			pc/lan in 64 answer from=10.0.1.2
			site/wan out 64 answer
			fw/wan in 64 answer
			fw #3 wan>lan pre fwd post 64>63 answer
			fw/lan out 63 answer
			pc/lan in 63 answer`, "site"},
		"a copy's": {"fw ids", asked + `
			site/wan out 64 answer
			fw/wan in 64 answer
			fw #3 wan>lan pre fwd 64>63 answer drop=7
			fw #4 >lan out post 63 answer
			fw/lan out 63 answer
			pc/lan in 63 answer`, "site"},
		"the only one, which came by where nobody watches": {"", asked + `
			site/wan out 64 answer`, "site"},
		"the target's, through a program that hands on frames that are not for it, a copy's as well": {"fw", relayed + `
			two/far out 64 +30000
			site/far in 64 foreign
			two/far out 63
			site/far in 63` + back, "site"},
		"the target's, while the program has not handed on the copy yet": {"fw", relayed + `
			two/far out 63 +30000
			site/far in 63` + back, "site"},
		"the target's, where what the program has handed on of the copy is lost": {"fw", relayed + `
			two/far out 64 +30000
			two/far out 63
			site/far in 63` + back, "site"},
		"the target's, or the program's own, where the request was for that node": {"fw", `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan>side pre fwd post 64>63
			fw/side out 63
			two/side in 63
			fw #2 >side out post 62
			fw/side out 62
			two/side in 62
			two/far out 62 +30000
			site/far in 62
			site/far out 64 answer
			two/far in 64 answer
			two/side out 64 answer +30000
			fw/side in 64 answer
			fw #3 side>lan pre fwd post 64>63 answer
			fw/lan out 63 answer
			pc/lan in 63 answer`, ""},
		"not one that was dropped": {"fw", asked + `
			site/wan out 64 answer
			fw/wan in 64 answer
			fw #3 wan>lan pre fwd 64>63 answer drop=7`, ""},
	} {
		if got := Of(scene(t, r.traced, r.timeline)).Origin(); got != r.want {
			t.Errorf("%s: %q, want %q\n%s", name, got, r.want, tell(Of(scene(t, r.traced, r.timeline))))
		}
	}
}

// So is a refusal: another's may have died on its way, in the same name.
func TestWhoseRefusalTheAskerGot(t *testing.T) {
	t.Parallel()
	const asked = `
			pc/lan out 64
			fw/lan in 64
			fw #1 lan> pre fwd 64>63 drop=7
			fw #2 >wan out post 64
			fw/wan out 64
			site/wan in 64
			site/wan out 64 refusal from=10.0.9.1
			fw/wan in 64 refusal from=10.0.9.1
			fw #3 wan>lan pre fwd 64>63 refusal from=10.0.9.1 drop=8`
	const back = `
			fw #4 >lan out post 64 refusal from=10.0.9.1
			fw/lan out 64 refusal from=10.0.9.1
			pc/lan in 64 refusal from=10.0.9.1`
	for name, r := range map[string]struct{ timeline, from, want string }{
		"a rule's on the way, in the target's name": {asked + back, "10.0.9.1", "fw"},
		"none from there":     {asked + back, "10.0.1.2", ""},
		"none that came back": {asked, "10.0.9.1", ""},
	} {
		a := Of(scene(t, "fw", r.timeline))
		if got := a.Refuser(netip.MustParseAddr(r.from)); got != r.want {
			t.Errorf("%s: %q, want %q\n%s", name, got, r.want, tell(a))
		}
	}
}
