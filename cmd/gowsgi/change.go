package main

// What a reload makes of a configuration that has changed: some of it can be put
// into force while the server runs, for the rest it has to be started again.

import (
	"io"
	"maps"
	"slices"
	"strings"

	"gowsgi/cmd/failure"
	"gowsgi/wsgi/http1"
)

// settingsAnew reads the command line's files again. What cannot change in a running
// server is warned about and stays as it is.
func (f *front) settingsAnew() (*Settings, error) {
	next, err := f.started.parse(io.Discard, "")
	if err != nil {
		return nil, err
	}
	for _, warning := range next.Warnings {
		f.log.Warn(warning, failure.Key, failure.DoubtfulSetting)
	}
	before := f.settings()
	fixed := before.said.fixedChanges(next.said)
	if f.environSize(next) > f.roomiest {
		// Requests that wait are laid out in memory of the old size.
		fixed = append(fixed, before.said.changes(next.said, largerHeads...)...)
	}
	if len(fixed) > 0 {
		f.log.Warn("changed settings need a restart; until then the old values are in force", failure.Key, failure.NeedsRestart, "settings", strings.Join(fixed, ", "))
		files := next.FileEnv
		if next, err = next.said.with(before.said, fixed).settings(); err != nil {
			return nil, err
		}
		next.FileEnv = files
	}
	next.Chroot, next.TempDir = before.Chroot, before.TempDir // absolute and found out by now
	return next, nil
}

// largerHeads are the settings that say how large the head of a request may be.
var largerHeads = []string{"limit-request-line", "limit-request-fields", "limit-request-field-size", "limit-request-header"}

// fixedChanges are the names of what differs in next and cannot be changed.
func (said sayings) fixedChanges(next sayings) []string {
	var fixed []string
	for i := range table {
		if !table[i].live && table[i].name != "config" {
			fixed = append(fixed, table[i].name)
		}
	}
	return said.changes(next, fixed...)
}

// changes gives those of names about which next says something else.
func (said sayings) changes(next sayings, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.Equal(said[name].texts, next[name].texts)
	})
}

// with is a copy in which old says what there is to say about names.
func (said sayings) with(old sayings, names []string) sayings {
	said = maps.Clone(said)
	for _, name := range names {
		said[name] = old[name]
	}
	return said
}

// adopt puts settings into force that a reload has brought, unless a later one has
// brought others meanwhile.
func (f *front) adopt(next *Settings, turn uint64) {
	f.reloads.mu.Lock()
	defer f.reloads.mu.Unlock()
	if turn < f.reloads.adopted {
		return
	}
	f.reloads.adopted = turn
	before := f.current.Swap(next)
	f.pool.Limit(next.callLimits())
	limits, timeouts, admission := next.limits(), next.timeouts(), next.admission(f.log)
	f.server.Adjust(limits, timeouts, admission)
	if f.redirect != nil {
		f.redirect.Adjust(limits, timeouts, http1.Admission{})
	}
	if f.http2 != nil {
		f.http2.Adjust(limits, timeouts)
	}
	f.handler.service.Store(f.newService(next))
	f.errors.SetLevel(next.LogLevel)
	changed := before.said.changes(next.said, append(flagNames(), application.name)...)
	if len(changed) > 0 {
		f.log.Info("settings have changed", "settings", strings.Join(changed, ", "))
	}
}
