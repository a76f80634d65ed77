/*
 * compat.h: what cpy3 v0.2.0 still names and newer CPythons no longer declare.
 *
 * cpy3 was written for CPython 3.7. The functions below have gone since; cpy3
 * only wraps them and gowsgi calls none of the wrappers, so an inert body is
 * enough to let it compile on 3.9 to 3.13.
 *
 * This file is put before every C file of cpy3 and of embed by the project's
 * python3.pc. It must not include Python.h: cgo's generated wrappers include
 * it themselves, and a second copy in front of theirs clashes.
 */
#ifndef GOWSGI_COMPAT_H
#define GOWSGI_COMPAT_H

#include <patchlevel.h>
#include <wchar.h>

#if PY_VERSION_HEX >= 0x03090000 /* free lists became private */
static inline int
PyDict_ClearFreeList(void)
{
    return 0;
}
static inline int
PyFloat_ClearFreeList(void)
{
    return 0;
}
static inline int
PyList_ClearFreeList(void)
{
    return 0;
}
static inline void
PyEval_ReInitThreads(void)
{
}
#endif

#if PY_VERSION_HEX >= 0x030D0000 /* PyConfig replaced these */
static inline void
Py_SetPath(const wchar_t *path)
{
    (void)path;
}
static inline void
PySys_SetPath(const wchar_t *path)
{
    (void)path;
}
static inline void
PySys_AddWarnOption(const wchar_t *option)
{
    (void)option;
}
static inline void
PySys_AddXOption(const wchar_t *option)
{
    (void)option;
}
static inline int
Py_SetStandardStreamEncoding(const char *encoding, const char *errors)
{
    (void)encoding;
    (void)errors;
    return -1;
}
static inline int
PyEval_ThreadsInitialized(void)
{
    return 1;
}
#endif

#endif
