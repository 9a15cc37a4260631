package t

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// sendTaken sends a signal to a server that is held, and waits until it is taken: one that is
// pending stands for all like it.
func sendTaken(t *testing.T, b *harness.Boot, sig syscall.Signal) {
	t.Helper()
	b.Signal(sig)
	harness.Eventually(t, "the signal is taken", func() bool {
		return strings.Trim(b.Status()["ShdPnd"], "0") == ""
	})
}

// TestSignalsOfABoot sends a server that starts many signals to reload, and then one to end,
// which it does.
func TestSignalsOfABoot(t *testing.T) {
	t.Parallel()
	b := harness.StartBoot(t, harness.Production(), harness.BootPlan{Call: unix.SYS_EPOLL_CREATE1, N: 2, Hold: true})
	harness.Eventually(t, "it makes an epoll instance", b.Met)
	for range 50 {
		sendTaken(t, b, syscall.SIGHUP)
		time.Sleep(time.Millisecond) // for the Go runtime to pass it on: without, this tests less
	}
	sendTaken(t, b, syscall.SIGTERM)
	b.Release()
	if state := b.Wait(); state.ExitCode() != 0 {
		t.Errorf("%v: %s", state, b.Stderr())
	}
}
