package t

import (
	"os"
	"testing"

	"gomcd/t/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
