package probes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
)

// mostStories bounds how many ways through rules are looked into of what was asked again.
const mostStories = 64

// remember doubts findings, or asks once more about them and adds what comes of it. That may
// have met other rules than the first did: then it is doubted, and asked again, likewise.
func (m *IsolationMatcher) remember(q question, found []finding) ([]finding, error) {
	c := newRecall(m.leg, m.sampled)
	first, told := len(found), map[string]bool{}
	for i := 0; i < len(found); i++ {
		f := &found[i]
		if is, _ := m.judge(*f); is != holds || f.excepted {
			continue
		}
		story := f.story(m.leg)
		switch {
		case i >= first && told[story]:
			continue
		case i >= first && len(told) > mostStories:
			f.doubt = rules.Memory{Kind: rules.Chance, Text: fmt.Sprintf("which of more than %d ways through rules it goes", mostStories)}
			return found, nil
		}
		told[story] = true
		more, err := m.anotherTime(q, c, f)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// story is what a finding's packets met, and where they ended.
func (f *finding) story(leg evidence.Role) string {
	text := new(strings.Builder)
	fmt.Fprintln(text, f.Probe, f.Addr, f.Probe.source.addr, f.Probe.source.device)
	if f.Cause != nil {
		fmt.Fprintln(text, f.Cause.Kind, f.Cause.Node)
	}
	if rule := f.rule(); rule != nil {
		fmt.Fprintln(text, rule.Family, rule.Table, rule.Chain, rule.Handle)
	}
	for _, passage := range f.metBy(leg) {
		fmt.Fprint(text, passage.Node.Name())
		for _, s := range passage.Steps {
			fmt.Fprint(text, " ", s.Family, " ", s.Table, " ", s.Chain, " ", s.Handle, ",")
		}
		fmt.Fprintln(text)
	}
	return text.String()
}

// anotherTime doubts a finding, or asks once more about it.
func (m *IsolationMatcher) anotherTime(q question, c *recall, f *finding) (more []finding, err error) {
	times, err := c.times(f)
	if err != nil {
		return nil, err
	}
	asks := times - 1
	repeated := f.repeated
	switch {
	case f.again.Rule != nil && slices.Contains(repeated, f.again.Rule):
		asks = 0
	case f.again.Kind == rules.Period && times > 1:
		// In a row, as other probes were counted since the first, and twice, as other packets may be.
		asks = max(asks, f.again.Period+min(f.again.Period, mostTwice))
	}
	if asks > 0 && f.again.Rule != nil {
		repeated = append(slices.Clone(repeated), f.again.Rule)
	}
	for range asks {
		again, err := q.once(m.ctx, *f)
		if err != nil {
			return nil, err
		}
		for i := range again {
			again[i].repeated = repeated
		}
		more = append(more, again...)
		if is, _ := m.judge(again[0]); is != holds {
			return more, nil
		}
	}
	ways := []func(question, *recall, *finding) ([]finding, error){m.branches, m.otherPorts, m.shorterWay}
	if m.leg == evidence.Answer { // what else may be chosen of an answer is the service's to choose
		ways = []func(question, *recall, *finding) ([]finding, error){m.branches, m.answeredTo}
	}
	for _, ask := range ways {
		if is, _ := m.judge(*f); is != holds {
			break
		}
		other, err := ask(q, c, f)
		if err != nil {
			return nil, err
		}
		for i := range other {
			other[i].repeated = repeated
		}
		more = append(more, other...)
	}
	return more, nil
}
