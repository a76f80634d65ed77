// This file reads a packed environ back, for tests and diagnostics; the worker has its own reader in C.

package environ

import (
	"encoding/binary"
	"fmt"
)

// Var is one variable of an environ. Each byte of Value is one code point of latin-1.
type Var struct{ Key, Value string }

// Unpack reads a packed environ, in the order it was written. It checks every size against what is left
// and returns the variables before the first fault together with an error naming its offset.
func Unpack(b []byte) ([]Var, error) {
	var vars []Var
	for at := 0; at < len(b); {
		key, value, err := cutKey(b, at)
		if err != nil {
			return vars, err
		}
		end, err := cutValue(b, value)
		if err != nil {
			return vars, err
		}
		vars = append(vars, Var{Key: key, Value: string(b[value+4 : end])})
		at = end
	}
	return vars, nil
}

// cutKey reads the key at an offset and gives the offset of the value's size.
func cutKey(b []byte, at int) (key string, next int, err error) {
	if len(b)-at < 2 {
		return "", 0, fmt.Errorf("packed environ: key number cut short at offset %d", at)
	}
	number := int(binary.LittleEndian.Uint16(b[at:]))
	if number > len(Keys) {
		return "", 0, fmt.Errorf("packed environ: key number %d at offset %d is beyond the %d known", number, at, len(Keys))
	}
	if number != keyOther {
		return Keys[number-1], at + 2, nil
	}
	if len(b)-at < 4 {
		return "", 0, fmt.Errorf("packed environ: size of a name cut short at offset %d", at)
	}
	size := int(binary.LittleEndian.Uint16(b[at+2:]))
	if size == 0 || size > len(b)-at-4 {
		return "", 0, fmt.Errorf("packed environ: name of %d bytes at offset %d where %d are left", size, at, len(b)-at-4)
	}
	return string(b[at+4 : at+4+size]), at + 4 + size, nil
}

// cutValue checks the value whose size is at an offset and gives the offset behind it.
func cutValue(b []byte, at int) (end int, err error) {
	if len(b)-at < 4 {
		return 0, fmt.Errorf("packed environ: size of a value cut short at offset %d", at)
	}
	size := int64(binary.LittleEndian.Uint32(b[at:]))
	if left := int64(len(b) - at - 4); size > left {
		return 0, fmt.Errorf("packed environ: value of %d bytes at offset %d where %d are left", size, at, left)
	}
	return at + 4 + int(size), nil
}
