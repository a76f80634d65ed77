package main

// What clients may do, as the settings say: for http1.

import (
	"log/slog"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
	"gowsgi/wsgi/http1"
	"gowsgi/wsgi/peers"
)

func (s *Settings) limits() http1.Limits {
	return http1.Limits{
		RequestLine: s.LimitRequestLine,
		Fields:      s.LimitRequestFields,
		FieldSize:   s.LimitRequestFieldSize,
		HeaderSize:  s.LimitRequestHeader,
		Body:        s.MaxBodySize,
		Requests:    s.KeepAliveRequests,
	}
}

func (s *Settings) timeouts() http1.Timeouts {
	return http1.Timeouts{
		Header:    s.HeaderTimeout,
		Body:      s.BodyTimeout,
		Send:      s.SendTimeout,
		KeepAlive: s.KeepAlive,
		MinRate:   s.MinRate,
		RateGrace: s.MinRateGrace,
	}
}

// admission logs when fewer connections than were asked for are possible.
func (s *Settings) admission(log *slog.Logger) http1.Admission {
	connections := s.MaxConnections
	if files, most := openFilesLimit(); connections == 0 || connections > most {
		if connections > 0 && s.Origins["max-connections"] != "default" {
			log.Warn("not as many connections as --max-connections says: too few open files are allowed (ulimit -n)", failure.Key, failure.TooFewDescriptors,
				"--max-connections", connections, "open files", files, "connections", most)
		}
		connections = most
	}
	return http1.Admission{
		Connections:      connections,
		ConnectionsPerIP: s.MaxConnectionsPerIP,
		Exempt:           peers.NewTrust(s.ForwardedAllowIPs).Includes,
	}
}

// openFilesLimit gives how many files may be open, and how many of them
// connections may have: with the rest taken, logs and workers could not be
// opened any more.
func openFilesLimit() (files, connections int) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		limit.Cur = 1024 // what Linux starts with
	}
	files = int(min(limit.Cur, 1<<30))
	return files, files / 4 * 3
}
