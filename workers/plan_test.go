package workers

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPlan_JitterStaysInItsBounds(t *testing.T) {
	p := Plan{MaxRequests: 10, MaxRequestsJitter: 5, MaxLifetime: time.Second, MaxLifetimeJitter: 3}
	requests, lifetimes := map[int]bool{}, map[time.Duration]bool{}
	for range 1000 {
		requests[p.requests()] = true
		lifetimes[p.lifetime()] = true
	}
	for n := 10; n <= 15; n++ {
		if !requests[n] {
			t.Errorf("requests() never was %d", n)
		}
		delete(requests, n)
	}
	for d := time.Second; d <= time.Second+3; d++ {
		if !lifetimes[d] {
			t.Errorf("lifetime() never was %v", d)
		}
		delete(lifetimes, d)
	}
	if len(requests)+len(lifetimes) > 0 {
		t.Errorf("requests() and lifetime() were %v and %v, too", requests, lifetimes)
	}
	unlimited := Plan{MaxRequestsJitter: 5, MaxLifetimeJitter: 5}
	if n, d := unlimited.requests(), unlimited.lifetime(); n != 0 || d != 0 {
		t.Errorf("without limits requests() = %d and lifetime() = %v, want 0", n, d)
	}
}

func TestCPUMeter_IsFreeWhenIdleTimePasses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stat")
	read := func(m *cpuMeter, text string) int {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return m.read(path)
	}
	var m cpuMeter
	n := read(&m, "cpu  10 0 20 300 40 0 0 5 7 0\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\n")
	if n != 2 || m.idle != 340 || m.total != 375 {
		t.Errorf("read() = %d processors, idle %d of %d, want 2, 340 of 375", n, m.idle, m.total)
	}
	if n := (&cpuMeter{}).read(filepath.Join(t.TempDir(), "none")); n != 0 {
		t.Errorf("read(no such file) = %d, want 0", n)
	}
}

func TestThrottledTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu.stat")
	if err := os.WriteFile(path, []byte("usage_usec 5\nnr_throttled 42\nthrottled_usec 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := throttledTimes(path); got != 42 {
		t.Errorf("throttledTimes() = %d, want 42", got)
	}
}

func TestMemory_OfThisProcess(t *testing.T) {
	resident := residentOf(os.Getpid())
	if resident < 1<<20 || resident > 1<<34 {
		t.Errorf("residentOf(self) = %d, want the size of a test in bytes", resident)
	}
	if got := proportionalOf(os.Getpid(), -1); got < 1<<20 || got > 2*resident {
		t.Errorf("proportionalOf(self) = %d, want about %d", got, resident)
	}
	if got := residentOf(-1); got != 0 {
		t.Errorf("residentOf(nobody) = %d, want 0", got)
	}
	if got := proportionalOf(-1, 77); got != 77 {
		t.Errorf("proportionalOf(nobody, 77) = %d, want 77", got)
	}
}

func TestWorkMeter_TellsWhatPartOfTheTimeWasWorked(t *testing.T) {
	var m workMeter
	self, began := []int{os.Getpid()}, time.Now()
	if got := m.share(self, began); got != 1 {
		t.Errorf("share() at first = %v, want 1", got)
	}
	for ticks, _ := processorTicks(self[0]); ; {
		if now, ok := processorTicks(self[0]); !ok || now >= ticks+5 {
			break
		}
	}
	// Twenty ticks later by the clock given: five of them worked, or some more by
	// the runtime's other threads.
	if got := m.share(self, began.Add(200*time.Millisecond)); got < 5.0/20 || got > 1.5 {
		t.Errorf("share() after 5 ticks of 20 = %v, want a quarter at least", got)
	}
	if got := m.share([]int{-1}, began.Add(time.Second)); got != 1 {
		t.Errorf("share(nobody) = %v, want 1", got)
	}
}
