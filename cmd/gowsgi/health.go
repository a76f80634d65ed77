package main

// Whether the front does its work: the question behind systemd's watchdog. An
// application that is slow or broken is no reason to end the front, which deals
// with that; these checks ask for the front's own parts.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// health gives nil when the supervisor of the pool and every socket answer
// within patience, else what does not.
func (f *front) health(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !answers(ctx, func() { f.pool.PIDs() }) {
		return errors.New("the supervisor of the workers does not answer")
	}
	for _, s := range f.sockets {
		if err := isTaken(ctx, s.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// answers tells whether ask returns before ctx ends.
func answers(ctx context.Context, ask func()) bool {
	answered := make(chan struct{})
	go func() {
		ask()
		close(answered)
	}()
	select {
	case <-answered:
		return true
	case <-ctx.Done():
		return false
	}
}

// isTaken connects to address, asks for nothing and waits for the connection to
// be closed, which shows that it was accepted and read from. A connection that
// cannot be made shows nothing: there are firewalls, renamed sockets and full
// queues.
func isTaken(ctx context.Context, address net.Addr) error {
	conn, err := new(net.Dialer).DialContext(ctx, address.Network(), address.String())
	if err != nil {
		return nil
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // fails only on a closed connection
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails when the server was quicker
	}
	_, err = io.Copy(io.Discard, conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("connections to %s are not taken", address)
	}
	return nil
}
