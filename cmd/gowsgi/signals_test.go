package main

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// raise sends this process a signal and waits until it has gone where it goes: a
// second one of the same kind would be one with the first until then.
func raise(t *testing.T, sig unix.Signal, arrived func() bool) {
	t.Helper()
	if err := unix.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !arrived(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s has not arrived", unix.SignalName(sig))
		}
		runtime.Gosched()
	}
}

func TestSignals_AStormOfOthersHidesNoStop(t *testing.T) {
	s := listenForSignals()
	defer s.stop()
	for n := range cap(s.others) {
		raise(t, unix.SIGHUP, func() bool { return len(s.others) == n+1 })
	}
	raise(t, unix.SIGTERM, func() bool { return len(s.stops) == 1 })
}

func TestSignals_WhatComesTooEarlyIsKept(t *testing.T) {
	s := listenForSignals()
	defer s.stop()
	sent := []unix.Signal{unix.SIGHUP, unix.SIGTTIN, unix.SIGUSR1, unix.SIGHUP, unix.SIGTTIN, unix.SIGUSR2}
	for n, sig := range sent {
		raise(t, sig, func() bool { return len(s.others) == n+1 })
	}
	stopped := make(chan struct{}, 1)
	end := s.during(func() { stopped <- struct{}{} })
	for len(s.others) > 0 {
		runtime.Gosched()
	}
	end()
	want := []os.Signal{unix.SIGHUP, unix.SIGTTIN, unix.SIGUSR1, unix.SIGTTIN, unix.SIGUSR2}
	if !slices.Equal(s.missed, want) || len(stopped) != 0 {
		t.Errorf("during kept %v and stopped %d times, want %v and none", s.missed, len(stopped), want)
	}
}
