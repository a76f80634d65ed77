package embed

// The zygote: this file is what the re-executed binary runs.

/*
#include <stdlib.h>
#include "gowsgi.h"
*/
import "C"

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	python3 "github.com/go-python/cpy3"

	"gowsgi/cmd/failure"
	"gowsgi/embed/channel"
)

// hostSource is the module _gowsgi_host.
//
//go:embed host.py
var hostSource string

// moduleSource is the module gowsgi that applications import.
//
//go:embed gowsgi.py
var moduleSource string

// devSource is the module _gowsgi_dev of development servers.
//
//go:embed dev.py
var devSource string

// causesSource is the module _gowsgi_causes, which host.py imports when it has to.
//
//go:embed causes.py
var causesSource string

const hostFile = "<gowsgi host>"

// ZygoteVariable is the environment variable that, when set, makes the binary
// a zygote.
const ZygoteVariable = "GOWSGI_ZYGOTE"

// controlDescriptor is where the front puts the control socket: the first of
// exec's ExtraFiles.
const controlDescriptor = 3

// ZygoteMain runs the zygote and returns its exit code.
//
// It must be called on the process's main thread, locked to it, before
// anything else of the program has started: everything after the fork depends
// on nothing but that thread. Errors go to standard error, a pipe the front
// reads.
func ZygoteMain() int {
	control, settings, err := meetFront()
	if err != nil {
		tell(failure.ChannelBroken, fmt.Errorf("zygote: %w", err))
		return ExitChannel
	}
	fd, err := control.Descriptor()
	if err != nil {
		tell(failure.ChannelBroken, fmt.Errorf("zygote: %w", err))
		return ExitChannel
	}
	provideTitle(settings.Name)
	if err := settings.settle(); err != nil {
		tell(failure.ConfinementRefused, err)
		return ExitRefused
	}
	if err := boot(settings); err != nil {
		tell(failure.PythonCannotStart, err)
		return ExitInterpreter
	}
	if code := prepare(settings); code != 0 {
		return code
	}
	return -int(C.gw_zygote_loop(C.int(fd)))
}

// tell writes why the zygote ends, as the front does it: what has failed, with its
// code, and what to do.
func tell(otherwise failure.Code, err error) {
	code := failure.Of(err, otherwise)
	fmt.Fprintf(os.Stderr, "gowsgi: error: %s\ngowsgi: help: %s\n", code.Tag(err.Error()), code.Help())
}

func meetFront() (*channel.Control, *Settings, error) {
	if err := os.Unsetenv(ZygoteVariable); err != nil {
		return nil, nil, err
	}
	control, err := channel.NewControl(os.NewFile(controlDescriptor, "control"))
	if err != nil {
		return nil, nil, err
	}
	text, err := control.ReceiveSettings()
	if err != nil {
		return nil, nil, err
	}
	var settings Settings
	if err := json.Unmarshal(text, &settings); err != nil {
		return nil, nil, fmt.Errorf("settings from the front: %w", err)
	}
	return control, &settings, nil
}

// provideTitle lets titles be written over argv[0], which the front padded.
func provideTitle(name string) {
	arg := os.Args[0]
	C.gw_title_room((*C.char)(unsafe.Pointer(unsafe.StringData(arg))), C.size_t(len(arg)))
	title := C.CString("gowsgi: zygote [" + name + "]")
	defer C.free(unsafe.Pointer(title))
	os.Args = nil // its memory is the title's now
	C.gw_title_set(title)
}

// boot starts CPython on this thread, which holds the GIL from then on.
func boot(settings *Settings) error {
	if err := settings.chooseInterpreter(); err != nil {
		return err
	}
	program := C.CString(settings.Interpreter)
	defer C.free(unsafe.Pointer(program))
	argv := make([]*C.char, 0, len(settings.Arguments)+1)
	for _, a := range append([]string{"gowsgi"}, settings.Arguments...) {
		arg := C.CString(a)
		defer C.free(unsafe.Pointer(arg))
		argv = append(argv, arg)
	}
	var why [512]C.char
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pinner.Pin(&argv[0])
	if C.gw_boot(program, C.int(len(argv)), &argv[0], &why[0], C.size_t(len(why))) < 0 {
		return interpreterError(settings, C.GoString(&why[0]))
	}
	return nil
}

// interpreterError turns CPython's own words into something to act on.
func interpreterError(settings *Settings, why string) error {
	err := fmt.Errorf("start CPython %s as %s: %s", Version, settings.Interpreter, why)
	home := os.Getenv("PYTHONHOME")
	switch {
	case !strings.Contains(why, "encoding"): // which the library brings
		return err
	case settings.Chroot != "":
		return failure.Errorf(failure.StdlibMissing, "%w: its standard library has to be below --chroot %s, at the same path as outside, readable by the user", err, settings.Chroot)
	case home != "":
		return failure.Errorf(failure.StdlibMissing, "%w: its standard library is not where PYTHONHOME says (%s); unset that", err, home)
	default:
		return failure.Errorf(failure.StdlibMissing, "%w: its standard library (lib/python%s) is not where that interpreter should have it; is that Python, or the virtualenv's base Python, gone? PYTHONHOME is not set",
			err, Version)
	}
}

// hiddenLibraryError is err, of the first modules that are imported, with what can
// put others in the place of the standard library's.
func hiddenLibraryError(err error) error {
	for _, name := range []string{"PYTHONPATH", "PYTHONHOME"} {
		if value := os.Getenv(name); value != "" {
			return failure.Errorf(failure.StdlibHidden, "%w: Python %s cannot use the modules it finds; %s is %s", err, Version, name, value)
		}
	}
	return err
}

// prepare makes the host module, preloads the application if asked, and
// freezes what exists; with an application in it the memory is settled for the
// workers to share. It returns the exit code, 0 to go on.
func prepare(settings *Settings) int {
	host, err := importHost()
	if err == nil {
		C.gw_host_set((*C.PyObject)(unsafe.Pointer(host))) // takes the reference over
		err = provide(host, "_gowsgi_causes", causesSource)
	}
	if err == nil {
		err = provide(host, "gowsgi", moduleSource)
	}
	if err == nil && settings.Dev != nil {
		err = provide(host, "_gowsgi_dev", devSource)
	}
	if err == nil {
		err = configure(host, settings)
	}
	if err == nil && settings.Preload {
		err = call(host, "preload")
	}
	if err == nil {
		err = call(host, "freeze")
	}
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case err != nil:
		tell(failure.PythonCannotStart, hiddenLibraryError(err))
		return ExitInterpreter
	}
	if settings.Preload {
		C.gw_settle()
	}
	return 0
}

// importHost compiles and runs host.py. New reference.
func importHost() (*python3.PyObject, error) {
	builtins := python3.PyImport_ImportModule("builtins") // new
	if builtins == nil {
		return nil, pythonError("import builtins")
	}
	defer builtins.DecRef()
	source := python3.PyUnicode_FromString(hostSource) // new, like the next two
	defer source.DecRef()
	file := python3.PyUnicode_FromString(hostFile)
	defer file.DecRef()
	mode := python3.PyUnicode_FromString("exec")
	defer mode.DecRef()
	code := builtins.CallMethodArgs("compile", source, file, mode)
	if code == nil {
		return nil, pythonError("compile " + hostFile)
	}
	defer code.DecRef()
	host := python3.PyImport_ExecCodeModule("_gowsgi_host", code)
	if host == nil {
		return nil, pythonError("run " + hostFile)
	}
	return host, nil
}

// provide makes a module that applications can import.
func provide(host *python3.PyObject, module, text string) error {
	name := python3.PyUnicode_FromString(module) // new, both
	defer name.DecRef()
	source := python3.PyUnicode_FromString(text)
	defer source.DecRef()
	return call(host, "provide", name, source)
}

// advice is what host.py has to know of a failure it tells of.
type advice struct {
	Exit int    `json:"exit"`
	Help string `json:"help"`
}

// hostAdvice is by code, for those that loading an application can end in.
func hostAdvice() map[string]advice {
	known := make(map[string]advice)
	for code := failure.ImportRaised; code <= failure.CannotServe; code++ {
		if page, ok := failure.Find(code); ok {
			known[code.String()] = advice{page.Exit, code.Help()}
		}
	}
	return known
}

func configure(host *python3.PyObject, settings *Settings) error {
	text, err := json.Marshal(struct {
		*Settings
		Failures map[string]advice `json:"failures"`
	}{settings, hostAdvice()})
	if err != nil {
		return err
	}
	argument := python3.PyUnicode_FromString(string(text)) // new
	defer argument.DecRef()
	return call(host, "configure", argument)
}

// call runs a function of host.py for its effect.
func call(host *python3.PyObject, name string, args ...*python3.PyObject) error {
	result := host.CallMethodArgs(name, args...) // new
	if result == nil {
		return pythonError(name)
	}
	result.DecRef()
	return nil
}

// exitError is SystemExit: the reason has been written already.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit %d", e.code) }

// pythonError takes the exception that is set and makes a Go error of it.
func pythonError(doing string) error {
	kind, value, trace := python3.PyErr_Fetch() // new, all three
	kind, value, trace = python3.PyErr_NormalizeException(kind, value, trace)
	defer func() {
		for _, o := range []*python3.PyObject{kind, value, trace} {
			if o != nil {
				o.DecRef()
			}
		}
	}()
	if value == nil {
		return fmt.Errorf("embed: %s: failed without an exception", doing)
	}
	if python3.PyErr_GivenExceptionMatches(value, python3.PyExc_SystemExit) {
		code := value.GetAttrString("code") // new
		if code != nil {
			defer code.DecRef()
			if python3.PyLong_Check(code) {
				return &exitError{python3.PyLong_AsLong(code)}
			}
		}
		return &exitError{1}
	}
	text := value.Repr() // new
	if text == nil {
		python3.PyErr_Clear()
		return fmt.Errorf("embed: %s: an exception without a repr", doing)
	}
	defer text.DecRef()
	return fmt.Errorf("embed: %s: %s", doing, python3.PyUnicode_AsUTF8(text))
}
