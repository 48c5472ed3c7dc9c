package policy_test

import (
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
