package files

// Which encoding of a file a client takes: RFC 9110 §12.5.3.

import (
	"strconv"
	"strings"
)

// coding is a content coding and the ending of files that are encoded so.
type coding struct {
	name, ending string
	also         string // another name it has
}

// codings we look for beside a file, smallest result first.
var codings = [...]coding{
	{name: "br", ending: ".br"},
	{name: "zstd", ending: ".zst"},
	{name: "gzip", ending: ".gz", also: "x-gzip"},
}

// ranked returns the indices of the codings that accept allows, the ones it
// likes most first; among equals in the order of codings. Those it likes less
// than the file as it is are left out. count says how many there are.
func ranked(accept []byte) (order [len(codings)]int, count int) {
	if len(accept) == 0 {
		return order, 0
	}
	weights, plain := weigh(string(accept))
	for i, w := range weights {
		if w <= 0 || w < plain {
			continue
		}
		at := count
		for at > 0 && weights[order[at-1]] < w {
			order[at] = order[at-1]
			at--
		}
		order[at] = i
		count++
	}
	return order, count
}

// weigh reads the weights of the codings and of the file as it is, which is -1
// where nothing is said of it: then everything that is allowed beats it.
func weigh(accept string) (weights [len(codings)]float64, plain float64) {
	others := -1.0
	plain = -1
	for i := range weights {
		weights[i] = -1
	}
	for item := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(item, ";")
		name = strings.TrimSpace(name)
		w := weight(parameters)
		switch {
		case name == "*":
			others = w
		case strings.EqualFold(name, "identity"):
			plain = w
		default:
			for i, c := range codings {
				if strings.EqualFold(name, c.name) || c.also != "" && strings.EqualFold(name, c.also) {
					weights[i] = w
				}
			}
		}
	}
	for i := range weights {
		if weights[i] < 0 {
			weights[i] = max(others, 0)
		}
	}
	return weights, plain
}

// weight reads "q=0.5". Something else counts as not wanted: better a plain file
// than one nobody can decode.
func weight(parameters string) float64 {
	parameters = strings.TrimSpace(parameters)
	if parameters == "" {
		return 1
	}
	name, value, _ := strings.Cut(parameters, "=")
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}
