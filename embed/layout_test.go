package embed

import (
	"maps"
	"slices"
	"testing"

	"gowsgi/embed/channel"
)

func TestLayout_GoAndCDrawTheSame(t *testing.T) {
	inC, inGo := layoutInC(), channel.Layout()
	for _, name := range slices.Sorted(maps.Keys(inC)) {
		if inGo[name] != inC[name] {
			t.Errorf("channel.Layout()[%q] = %d, want %d as in C", name, inGo[name], inC[name])
		}
	}
	for name := range inGo {
		if _, ok := inC[name]; !ok {
			t.Errorf("channel.Layout() has %q, which C does not", name)
		}
	}
}
