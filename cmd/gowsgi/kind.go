package main

// What a setting's text may look like, and how it becomes a typed value. The
// same text comes from a flag, a variable or the table's own default.

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gowsgi/wsgi/files"
	"gowsgi/wsgi/peers"
)

// A kind says how one setting is written and where its value goes.
type kind struct {
	// word stands for the value in help: NUMBER, DURATION, PATH …
	word string
	// toggle: the flag alone means true; it takes no separate value.
	toggle bool
	// repeat: the flag may be given several times, and a variable holds several
	// values separated by any byte of separators.
	repeat bool
	// separators cut one text into several values.
	separators string
	// toml says what else than a string the value may be in a configuration file.
	toml tomlTypes
	// pairs: a table in a configuration file holds several NAME=VALUE.
	pairs bool
	// store parses text into its field. Its errors complete the line
	// `--flag "text": `.
	store func(s *Settings, text string) error
}

func number(field func(*Settings) *int, low, high int) kind {
	return kind{word: "NUMBER", toml: tomlInteger | tomlUnquoted, store: func(s *Settings, text string) error {
		value, err := parseNumber(text, low, high)
		*field(s) = value
		return err
	}}
}

// optional keeps a number that is nil when nothing was said.
func optional(field func(*Settings) **int, low, high int) kind {
	return kind{word: "NUMBER", toml: tomlInteger | tomlUnquoted, store: func(s *Settings, text string) error {
		value, err := parseNumber(text, low, high)
		*field(s) = &value
		return err
	}}
}

// umask keeps mode bits, written as 022 or 0o22.
func umask(field func(*Settings) **int) kind {
	return kind{word: "MODE", store: func(s *Settings, text string) error {
		value, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
		if err != nil || value > 0o777 {
			return errors.New("not a file mode (want octal digits, 0 to 777)")
		}
		mode := int(value)
		*field(s) = &mode
		return nil
	}}
}

// duration keeps a time between 0 and a day, written as 90 (seconds), 1m30s, 500ms.
func duration(field func(*Settings) *time.Duration) kind {
	return kind{word: "DURATION", toml: tomlInteger | tomlFloat, store: func(s *Settings, text string) error {
		value, err := parseDuration(text)
		*field(s) = value
		return err
	}}
}

// age is duration for what clients keep: up to ten years.
func age(field func(*Settings) *time.Duration) kind {
	return kind{word: "DURATION", toml: tomlInteger | tomlFloat, store: func(s *Settings, text string) error {
		value, err := parseDurationTo(longestAge, text, "10 years")
		*field(s) = value
		return err
	}}
}

// size keeps a number of bytes, written as 500, 64K, 10M, 2G.
func size(field func(*Settings) *int64) kind {
	return kind{word: "SIZE", toml: tomlInteger, store: func(s *Settings, text string) error {
		value, err := parseSize(text)
		*field(s) = value
		return err
	}}
}

// sizeBetween keeps a number of bytes within bounds, written as size's.
func sizeBetween(field func(*Settings) *int, low, high int) kind {
	return kind{word: "SIZE", toml: tomlInteger, store: func(s *Settings, text string) error {
		value, err := parseSize(text)
		if err == nil && (value < int64(low) || value > int64(high)) {
			err = fmt.Errorf("out of range (want %d to %d bytes)", low, high)
		}
		*field(s) = int(value)
		return err
	}}
}

func text(word string, field func(*Settings) *string) kind {
	return kind{word: word, store: func(s *Settings, text string) error {
		if strings.ContainsRune(text, 0) {
			return errors.New("holds a NUL byte")
		}
		*field(s) = text
		return nil
	}}
}

func toggle(field func(*Settings) *bool) kind {
	return kind{toggle: true, store: func(s *Settings, text string) error {
		value, err := parseToggle(text)
		*field(s) = value
		return err
	}}
}

// choice keeps one of several words.
func choice(word string, field func(*Settings) *string, words ...string) kind {
	return kind{word: word, store: func(s *Settings, text string) error {
		if !slices.Contains(words, text) {
			return fmt.Errorf("no such %s (want %s)", strings.ToLower(word), strings.Join(words, ", "))
		}
		*field(s) = text
		return nil
	}}
}

func level(field func(*Settings) *slog.Level) kind {
	return kind{word: "LEVEL", store: func(s *Settings, text string) error {
		for _, known := range levels {
			if strings.EqualFold(text, known.name) {
				*field(s) = known.level
				return nil
			}
		}
		return fmt.Errorf("no such level (want %s)", strings.Join(levelNames(), ", "))
	}}
}

func levelNames() []string {
	names := make([]string, len(levels))
	for i, known := range levels {
		names[i] = strings.ToLower(known.name)
	}
	return names
}

// permissions keeps those of a file, written in octal: 660.
func permissions(field func(*Settings) *fs.FileMode) kind {
	return kind{word: "MODE", store: func(s *Settings, text string) error {
		value, err := strconv.ParseUint(text, 8, 32)
		if err != nil || value == 0 || value > 0o777 {
			return errors.New("not permissions (want octal digits, 1 to 777, such as 660)")
		}
		*field(s) = fs.FileMode(value)
		return nil
	}}
}

func owner(field func(*Settings) *Owner) kind {
	return kind{word: "USER:GROUP", store: func(s *Settings, text string) error {
		value, err := parseOwner(text)
		*field(s) = value
		return err
	}}
}

// fieldName keeps the name of a header field; "none" and nothing at all mean none.
func fieldName(field func(*Settings) *string) kind {
	return kind{word: "NAME", store: func(s *Settings, text string) error {
		if text == "none" {
			text = ""
		}
		for _, c := range text {
			if !strings.ContainsRune("-0123456789abcdefghijklmnopqrstuvwxyz", unicode.ToLower(c)) {
				return errors.New("not a field's name (want letters, digits and \"-\", or none)")
			}
		}
		switch strings.ToLower(text) {
		case "host", "content-length", "content-type", "transfer-encoding", "connection", "forwarded", "x-forwarded-for", "cookie", "authorization":
			return errors.New("that field means something else already")
		}
		*field(s) = text
		return nil
	}}
}

// mountPoint keeps a path such as /shop.
func mountPoint(field func(*Settings) *string) kind {
	return kind{word: "PATH", store: func(s *Settings, text string) error {
		value, err := peers.ParseMount(text)
		*field(s) = value
		return err
	}}
}

// several keeps a list; parse turns each of its texts into an element.
func several[T any](word, separators string, field func(*Settings) *[]T, parse func(string) (T, error)) kind {
	return kind{word: word, repeat: true, separators: separators, store: func(s *Settings, text string) error {
		value, err := parse(text)
		if err == nil {
			*field(s) = append(*field(s), value)
		}
		return err
	}}
}

// pairs keeps environment variables, each NAME=VALUE.
func pairs(field func(*Settings) *[]string) kind {
	k := several("NAME=VALUE", "", field, parseVariable)
	k.pairs = true
	return k
}

// values cuts one given text into the texts store is called with.
func (k kind) values(given string) []string {
	if k.separators == "" {
		return []string{given}
	}
	cut := strings.FieldsFunc(given, func(r rune) bool { return strings.ContainsRune(k.separators, r) })
	for i := range cut {
		cut[i] = strings.TrimSpace(cut[i])
	}
	return slices.DeleteFunc(cut, func(text string) bool { return text == "" })
}

func parseNumber(text string, low, high int) (int, error) {
	value, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && (value < low || value > high):
		return 0, fmt.Errorf("out of range (want %d to %d)", low, high)
	case err != nil:
		return 0, fmt.Errorf("not a whole number (want %d or more)", low)
	}
	return value, nil
}

// Longest durations: of anything that is waited for, and of what clients may
// keep, for which a year is usual.
const (
	longestDuration = 24 * time.Hour
	longestAge      = 10 * 365 * 24 * time.Hour
)

// parseDuration reads seconds, 90 or 2.5, or numbers with units, 1m30s or 500ms.
func parseDuration(text string) (time.Duration, error) {
	return parseDurationTo(longestDuration, text, "24h")
}

// parseDurationTo understands durations up to limit, which is called name.
func parseDurationTo(limit time.Duration, text, name string) (time.Duration, error) {
	value, err := time.ParseDuration(text)
	if seconds, notNumber := strconv.ParseFloat(text, 64); notNumber == nil {
		// NaN compares false with everything: the range below must not let it by.
		if !(seconds >= 0 && seconds <= limit.Seconds()) {
			return 0, fmt.Errorf("out of range (want 0 to %s)", name)
		}
		value, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil {
		return 0, errors.New("not a duration (want seconds, or a form like 1m30s or 500ms)")
	}
	if value < 0 || value > limit {
		return 0, fmt.Errorf("out of range (want 0 to %s)", name)
	}
	return value, nil
}

// parseSize reads a number of bytes. K, M and G are powers of 1024, whether
// written K, KB or KiB, in either case.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "BbIiKkMmGg")
	shift := 0
	switch strings.ToUpper(text[len(digits):]) {
	case "", "B":
	case "K", "KB", "KIB":
		shift = 10
	case "M", "MB", "MIB":
		shift = 20
	case "G", "GB", "GIB":
		shift = 30
	default:
		digits = ""
	}
	value, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && (value < 0 || value > math.MaxInt64>>shift):
		return 0, errors.New("out of range (want 0 or more bytes, below 8 EiB)")
	case err != nil:
		return 0, errors.New("not a size (want bytes, or a number with K, M or G)")
	}
	return value << shift, nil
}

func parseToggle(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, errors.New("neither true nor false")
}

// parseVariable checks NAME=VALUE, an environment variable for the application.
func parseVariable(text string) (string, error) {
	name, _, equals := strings.Cut(text, "=")
	switch {
	case !equals:
		return "", errors.New("no value (want NAME=VALUE)")
	case name == "":
		return "", errors.New("no name (want NAME=VALUE)")
	case strings.ContainsRune(text, 0):
		return "", errors.New("holds a NUL byte")
	}
	return text, nil
}

// parseMount understands /PREFIX=FOLDER.
func parseMount(text string) (files.Mount, error) {
	prefix, dir, equals := strings.Cut(text, "=")
	prefix = strings.TrimRight(prefix, "/")
	switch {
	case !equals || dir == "":
		return files.Mount{}, errors.New("no folder (want /PREFIX=DIR)")
	case prefix == "":
		return files.Mount{}, errors.New("the prefix would be everything (want /PREFIX=DIR)")
	case prefix[0] != '/':
		return files.Mount{}, errors.New("the prefix begins with no slash (want /PREFIX=DIR)")
	case strings.ContainsRune(text, 0):
		return files.Mount{}, errors.New("holds a NUL byte")
	}
	for segment := range strings.SplitSeq(prefix[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return files.Mount{}, fmt.Errorf("the prefix has a segment %q, which no path of a request has", segment)
		}
	}
	return files.Mount{Prefix: prefix, Dir: dir}, nil
}

// parsePattern checks a shell pattern for paths.
func parsePattern(text string) (string, error) {
	if strings.ContainsRune(text, 0) {
		return "", errors.New("holds a NUL byte")
	}
	if _, err := path.Match(text, ""); err != nil {
		return "", errors.New("not a pattern: a bracket is not closed")
	}
	return text, nil
}

func parsePath(text string) (string, error) {
	if strings.ContainsRune(text, 0) {
		return "", errors.New("holds a NUL byte")
	}
	return text, nil
}
