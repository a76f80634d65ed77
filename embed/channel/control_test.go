package channel

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newControls returns the front's end and the zygote's.
// SendReport is what the zygote's C does.
func (c *Control) SendReport(r Report) error {
	var m [reportBytes]byte
	binary.NativeEndian.PutUint32(m[0:], uint32(r.Kind))
	binary.NativeEndian.PutUint32(m[4:], r.Worker)
	binary.NativeEndian.PutUint32(m[8:], uint32(int32(r.PID)))
	binary.NativeEndian.PutUint32(m[12:], uint32(int32(r.Status)))
	binary.NativeEndian.PutUint32(m[16:], uint32(int32(r.Signal)))
	binary.NativeEndian.PutUint64(m[24:], uint64(r.MaxRSS/1024))
	_, err := c.conn.Write(m[:])
	return err
}

func newControls(t *testing.T) (front, zygote *Control) {
	t.Helper()
	front, theirs, err := Pair()
	if err != nil {
		t.Fatalf("Pair() = %v", err)
	}
	if zygote, err = NewControl(theirs); err != nil {
		t.Fatalf("NewControl() = %v", err)
	}
	t.Cleanup(func() {
		_ = front.Close()
		_ = zygote.Close()
	})
	return front, zygote
}

func TestControl_CarriesSettings(t *testing.T) {
	front, zygote := newControls(t)
	want := strings.Repeat(`{"application": "demo"}`, 2000)
	if err := front.SendSettings([]byte(want)); err != nil {
		t.Fatalf("SendSettings() = %v", err)
	}
	if got, err := zygote.ReceiveSettings(); string(got) != want || err != nil {
		t.Errorf("ReceiveSettings() = %d bytes, %v, want the %d sent", len(got), err, len(want))
	}
}

func TestControl_CarriesReportsInOrder(t *testing.T) {
	front, zygote := newControls(t)
	want := []Report{
		{Kind: Booted, PID: 12},
		{Kind: Forked, Worker: 1, PID: 1 << 22},
		{Kind: ForkFailed, Worker: 1<<32 - 1, Status: int(unix.EAGAIN)},
		{Kind: Exited, Worker: 2, PID: 13, Status: 255, MaxRSS: 5 << 40},
		{Kind: Exited, Worker: 3, PID: 14, Signal: unix.SIGSEGV, MaxRSS: 1024},
	}
	for _, r := range want {
		if err := zygote.SendReport(r); err != nil {
			t.Fatalf("SendReport(%+v) = %v", r, err)
		}
	}
	for _, r := range want {
		if got, err := front.Receive(); got != r || err != nil {
			t.Errorf("Receive() = %+v, %v, want %+v", got, err, r)
		}
	}
}

func TestControl_EndsWithTheOtherSide(t *testing.T) {
	t.Run("after what was sent", func(t *testing.T) {
		front, zygote := newControls(t)
		if err := zygote.SendReport(Report{Kind: Booted}); err != nil {
			t.Fatal(err)
		}
		_ = zygote.Close()
		if r, err := front.Receive(); r.Kind != Booted || err != nil {
			t.Errorf("Receive() = %+v, %v, want the report sent before the end", r, err)
		}
		for range 2 {
			if _, err := front.Receive(); !errors.Is(err, io.EOF) {
				t.Errorf("Receive() = %v, want io.EOF", err)
			}
		}
	})
	t.Run("with something unread", func(t *testing.T) {
		front, zygote := newControls(t)
		if err := front.Signal(1, unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = zygote.Close() // the kernel says ECONNRESET for that
		if _, err := front.Receive(); !errors.Is(err, io.EOF) {
			t.Errorf("Receive() = %v, want io.EOF", err)
		}
		if err := front.Signal(1, unix.SIGTERM); err == nil {
			t.Error("Signal() to a zygote that is gone = nil, want an error")
		}
	})
	t.Run("with this side", func(t *testing.T) {
		front, _ := newControls(t)
		_ = front.Close()
		if _, err := front.Receive(); !errors.Is(err, io.EOF) {
			t.Errorf("Receive() after Close() = %v, want io.EOF", err)
		}
	})
}

func TestControl_RefusesReportsOfAnotherSize(t *testing.T) {
	for _, size := range []int{1, reportBytes - 1} {
		front, zygote := newControls(t)
		if _, err := zygote.conn.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if r, err := front.Receive(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("Receive() of %d bytes = %+v, %v, want an error", size, r, err)
		}
	}
}

// TestControl_ForkSendsDescriptors reads the order as the zygote's C does.
func TestControl_ForkSendsDescriptors(t *testing.T) {
	front, zygote := newControls(t)
	s, err := Create(small)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	if err := front.Fork(9, s, in); err != nil {
		t.Fatalf("Fork() = %v", err)
	}
	_ = in.Close()
	order, files := receiveOrder(t, zygote)
	if order != [4]uint32{orderFork, 9, 0, 0} {
		t.Errorf("order = %v, want fork of worker 9", order)
	}
	if len(files) != 4 {
		t.Fatalf("%d descriptors came along, want memory, bell, standard error and a socket", len(files))
	}
	if info, err := files[3].Stat(); err != nil || info.Mode()&os.ModeSocket == 0 {
		t.Errorf("the fourth descriptor is %v, %v, want a socket", info, err)
	}
	if info, err := files[0].Stat(); err != nil || info.Size() != int64(len(s.memory)) {
		t.Errorf("the first descriptor has %v bytes, %v, want the segment's %d", info, err, len(s.memory))
	}
	if _, err := files[2].Write([]byte("said")); err != nil {
		t.Errorf("writing to the third descriptor = %v, want a pipe", err)
	}
	for _, f := range files {
		_ = f.Close()
	}
	if text, err := io.ReadAll(out); string(text) != "said" || err != nil {
		t.Errorf("the pipe gave %q, %v, want what was written", text, err)
	}
}

func TestControl_SignalIsAnOrder(t *testing.T) {
	front, zygote := newControls(t)
	if err := front.Signal(3, unix.SIGABRT); err != nil {
		t.Fatalf("Signal() = %v", err)
	}
	order, files := receiveOrder(t, zygote)
	if order != [4]uint32{orderSignal, 3, uint32(unix.SIGABRT), 0} || len(files) != 0 {
		t.Errorf("order = %v with %d descriptors, want SIGABRT for worker 3 without", order, len(files))
	}
}

func TestControl_DumpStacksCarriesTheReason(t *testing.T) {
	front, zygote := newControls(t)
	if err := front.DumpStacks(3, WhyStart); err != nil {
		t.Fatalf("DumpStacks() = %v", err)
	}
	order, files := receiveOrder(t, zygote)
	if order != [4]uint32{orderSignal, 3, uint32(StacksSignal), uint32(WhyStart)} || len(files) != 0 {
		t.Errorf("order = %v with %d descriptors, want StacksSignal for worker 3 and WhyStart, without", order, len(files))
	}
}

func receiveOrder(t *testing.T, c *Control) (order [4]uint32, files []*os.File) {
	t.Helper()
	var m [orderBytes + 1]byte
	rights := make([]byte, 128)
	n, rn, _, _, err := c.conn.ReadMsgUnix(m[:], rights)
	if n != orderBytes || err != nil {
		t.Fatalf("an order of %d bytes, %v, want %d", n, err, orderBytes)
	}
	for i := range order {
		order[i] = binary.NativeEndian.Uint32(m[4*i:])
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return order, files
}

func TestControl_OrdersDoNotWaitForEver(t *testing.T) {
	front, _ := newControls(t)
	front.patience = time.Millisecond
	failed := make(chan error)
	go func() {
		for {
			if err := front.Signal(1, unix.SIGKILL); err != nil {
				failed <- err
				return
			}
		}
	}()
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Signal() = %v, want %v when nobody reads", err, os.ErrDeadlineExceeded)
		}
	case <-time.After(patience):
		t.Error("Signal() waits for ever for a zygote that does not read")
	}
}

func TestControl_DescriptorBlocks(t *testing.T) {
	_, zygote := newControls(t)
	fd, err := zygote.Descriptor()
	if err != nil {
		t.Fatalf("Descriptor() = %v", err)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags of the descriptor = %#x, %v, want a blocking one: the C loop sleeps in it", flags, err)
	}
	_ = controlFile.Close()
}
