package embed

// Build flags for the C files of this package. python3.pc, in pkgconfig/, is
// the project's own: see compat.h.

/*
#cgo pkg-config: python3
#cgo CFLAGS: -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wno-deprecated-declarations
#cgo nocallback gw_boot
#cgo noescape gw_boot
#include <stdlib.h>
#include "gowsgi.h"
*/
import "C"
