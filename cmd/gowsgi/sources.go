package main

// The places that say something about settings, and which of them counts: the
// command line, GOWSGI_<NAME>, $GUNICORN_CMD_ARGS, a configuration file, the
// variables that other tools set for any server, the default.

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gowsgi/cmd/failure"
)

// An invocation is how gowsgi was started. What it leads to can be found out
// again later: files may have changed since.
type invocation struct {
	args   []string // without the program's name
	lookup func(string) (string, bool)
	// dir is the folder it was started in, which relative names of configuration
	// and .env files are below; empty: the folder it is in.
	dir string
	// develop: as gowsgi dev, which has other defaults.
	develop bool
}

// path is where a file that a setting names is.
func (i invocation) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(i.dir, name)
}

// A saying is what one place says about a setting, before it is understood.
type saying struct {
	origin string
	texts  []string
}

// byDefault is the origin of what nobody said anything about.
const byDefault = "default"

// sayings are by setting name.
type sayings map[string]saying

// application is the row of what has no flag: the argument, GOWSGI_APP, or the
// key app of a configuration file.
var application = setting{
	name: "app", live: true, group: groupApp, help: "the application: MODULE[:APP]",
	kind: kind{word: "MODULE[:APP]", store: func(s *Settings, text string) error {
		var err error
		s.App, err = parseAppSpec(text)
		return err
	}},
}

// argument is the origin of an application that was given as an argument.
const argument = "the command line"

// sources are what all places say, the one that counts most first.
type sources []func(*setting) (saying, bool)

// about is what the first place says that says anything.
func (from sources) about(row *setting) saying {
	for _, ask := range from {
		if said, ok := ask(row); ok {
			return said
		}
	}
	return saying{origin: byDefault}
}

// sources asks flags (by setting name, in the order given) and everything else.
func (i invocation) sources(flags map[string][]string) (sources, []string, error) {
	gunicorn, warnings, err := gunicornArguments(i.lookup)
	if err != nil {
		return nil, nil, err
	}
	from := sources{
		fromFlags(flags),
		fromVariable(i.lookup),
		gunicorn,
	}
	file, err := i.configuration(from.about(findSetting("--config")))
	if err != nil {
		return nil, nil, err
	}
	from = append(from, file.about, fromCommonVariables(i.lookup))
	if i.develop {
		if from, err = i.forDevelopment(from); err != nil {
			return nil, nil, err
		}
	}
	return append(from, fromDefaults), warnings, nil
}

func fromFlags(flags map[string][]string) func(*setting) (saying, bool) {
	return func(row *setting) (saying, bool) {
		texts, ok := flags[row.name]
		if row.name == application.name {
			return saying{argument, texts}, ok
		}
		return saying{row.flag(), texts}, ok
	}
}

// fromVariable asks for GOWSGI_<NAME>. A variable that is set but empty says nothing.
func fromVariable(lookup func(string) (string, bool)) func(*setting) (saying, bool) {
	return func(row *setting) (saying, bool) {
		value, _ := lookup(row.env())
		texts := []string{value}
		if row.kind.repeat {
			// Commas are the one separator every list has in a variable.
			texts = kind{separators: ","}.values(value)
		}
		return saying{row.env(), texts}, value != ""
	}
}

// fromCommonVariables asks for variables that platforms set for any server. They
// stand below the configuration file: that is about this very program.
func fromCommonVariables(lookup func(string) (string, bool)) func(*setting) (saying, bool) {
	return func(row *setting) (saying, bool) {
		for _, common := range row.variable {
			if value, _ := lookup(common.name); value != "" {
				return saying{common.name, []string{common.prefix + value}}, true
			}
		}
		return saying{}, false
	}
}

func fromDefaults(row *setting) (saying, bool) {
	return saying{byDefault, []string{row.value}}, row.value != ""
}

// gather asks about every setting.
func (from sources) gather() sayings {
	said := sayings{application.name: from.about(&application)}
	for i := range table {
		said[table[i].name] = from.about(&table[i])
	}
	return said
}

// settings understands what was said. The first text that cannot be understood is
// the error, with exit code 2.
func (said sayings) settings() (*Settings, error) {
	settings, err := said.settled()
	if err != nil {
		return nil, err
	}
	return settings, said.storeApplication(settings)
}

// settled is settings, but for the application.
func (said sayings) settled() (*Settings, error) {
	settings := &Settings{Origins: make(map[string]string, len(said)), said: said}
	for i := range table {
		if err := said.store(&table[i], settings); err != nil {
			return nil, err
		}
	}
	if len(settings.Binds) == 0 {
		return nil, failure.Errorf(failure.SettingsContradict, "%s: no address given", settings.Origins["bind"])
	}
	if err := settings.settleBinds(); err != nil {
		return nil, failure.Errorf(failure.SettingsContradict, "%w", err)
	}
	bounds := processResources()
	if !settings.Reload { // a development server serves one person
		settings.limitWorkers(bounds)
	}
	if err := settings.settleWorkers(); err != nil {
		return nil, failure.Errorf(failure.SettingsContradict, "%w", err)
	}
	settings.limitMemory(bounds)
	settings.settleHeader()
	if err := settings.settleTLS(); err != nil {
		return nil, failure.Errorf(failure.SettingsContradict, "%w", err)
	}
	if settings.MinRate > 0 && settings.MinRateGrace == 0 {
		return nil, failure.Errorf(failure.SettingsContradict, "%s: with no time at all no request is fast enough (want more than 0, or --min-rate 0)",
			settings.Origins["min-rate-grace"])
	}
	return settings, nil
}

func (said sayings) store(row *setting, settings *Settings) error {
	one := said[row.name]
	settings.Origins[row.name] = one.origin
	for _, text := range one.texts {
		if err := row.store(settings, text); err != nil {
			return failure.Errorf(failure.BadValue, "%s %q: %w", one.origin, text, err)
		}
	}
	return nil
}

// storeApplication differs from store in its errors: they quote the text, and on
// the command line nothing has to be said about where it stands.
func (said sayings) storeApplication(settings *Settings) error {
	one := said[application.name]
	if len(one.texts) == 0 {
		return failure.Errorf(failure.NoApplication, "no application given; usage: %s", usageLine)
	}
	settings.Origins[application.name] = one.origin
	switch err := application.store(settings, one.texts[0]); {
	case err == nil:
		return nil
	case one.origin == argument:
		return failure.Errorf(failure.BadApplicationName, "%w", err)
	default:
		return failure.Errorf(failure.BadApplicationName, "%s: %w", one.origin, err)
	}
}

// settingsFrom makes settings of flags (by setting name, in the order given; the
// application's is "app") and everything else that has something to say.
func (i invocation) settingsFrom(flags map[string][]string, warnings []string) (*Settings, error) {
	from, more, err := i.sources(flags)
	if err != nil {
		return nil, err
	}
	settings, err := from.gather().settings()
	if err != nil {
		return nil, err
	}
	settings.Warnings = slices.Concat(warnings, more)
	return settings, i.readEnvFiles(settings)
}

// readEnvFiles fills FileEnv.
func (i invocation) readEnvFiles(s *Settings) error {
	values := make(map[string]string)
	for _, name := range s.EnvFiles {
		content, err := os.ReadFile(i.path(name))
		if err == nil {
			err = parseEnvFile(name, string(content), values, i.lookup)
		}
		if err != nil {
			return failure.Errorf(failure.BadEnvFile, "%s: %w", s.Origins["env-file"], err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, set := i.lookup(name); !set {
			s.FileEnv = append(s.FileEnv, fmt.Sprintf("%s=%s", name, values[name]))
		}
	}
	return nil
}
