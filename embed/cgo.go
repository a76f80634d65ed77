package embed

// Build flags for the C files of this package. python3.pc, in pkgconfig/, is
// the project's own: see compat.h.

/*
#cgo pkg-config: python3
#cgo CFLAGS: -D_GNU_SOURCE=1 -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wno-deprecated-declarations
#cgo nocallback gw_boot
#cgo noescape gw_boot
#include <stdlib.h>
#include "gowsgi.h"
*/
import "C"

import (
	"strconv"
	"strings"
)

// Version is that of the CPython gowsgi is linked to: "3.11".
var Version = strconv.Itoa(C.PY_MAJOR_VERSION) + "." + strconv.Itoa(C.PY_MINOR_VERSION)

// Release is that of the CPython gowsgi has found to run: "3.11.2". Py_GetVersion
// may be called where CPython is never started.
func Release() string {
	release, _, _ := strings.Cut(C.GoString(C.Py_GetVersion()), " ")
	return release
}
