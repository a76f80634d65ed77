/* boot.c: CPython started the way python itself starts it, minus signals. */
#include "gowsgi.h"

#include <stdio.h>
#include <stdlib.h>

/* Say in `why` what a PyStatus complains about. */
static int
failed(PyStatus status, char *why, size_t why_size)
{
    if (PyStatus_IsExit(status))
        snprintf(why, why_size, "CPython wants to exit with status %d",
                 status.exitcode);
    else
        snprintf(why, why_size, "%s%s%s", status.func ? status.func : "",
                 status.func ? ": " : "",
                 status.err_msg ? status.err_msg : "unknown error");
    return -1;
}

/*
 * Text is UTF-8 whatever LANG says, unless PYTHONUTF8 asks otherwise: under a
 * service manager or in a container LANG is often C, and file names and
 * print() would then be ASCII.
 */
static PyStatus
preinitialize(void)
{
    PyPreConfig config;

    PyPreConfig_InitPythonConfig(&config);
    if (getenv("PYTHONUTF8") == NULL)
        config.utf8_mode = 1;
    config.parse_argv = 0;
    return Py_PreInitialize(&config);
}

static PyStatus
fill(PyConfig *config, const char *program, int argc, char *const *argv)
{
    PyStatus status;

    config->parse_argv = 0;
    config->install_signal_handlers = 0;
    status = PyConfig_SetBytesString(config, &config->program_name, program);
    if (PyStatus_Exception(status))
        return status;
    /* sys.executable: what multiprocessing and subprocess start again */
    status = PyConfig_SetBytesString(config, &config->executable, program);
    if (PyStatus_Exception(status))
        return status;
    return PyConfig_SetBytesArgv(config, argc, argv);
}

/*
 * gw_boot: initialise CPython in this process; never finalised.
 *
 * GIL      held when it returns 0, by the calling thread, which must be the
 *          process's main thread and stay it
 * program  path of the interpreter to be: a virtualenv's bin/python makes its
 *          site-packages importable; borrowed
 * argv     becomes sys.argv; borrowed
 * returns  0, or -1 with the reason in `why`: the process can only exit then
 * source   PEP 587
 */
int
gw_boot(const char *program, int argc, char *const *argv, char *why,
        size_t why_size)
{
    PyConfig config;
    PyStatus status;

    gw_descriptors_mark();
    gw_signals_host();
    if (gw_module_register() < 0) {
        snprintf(why, why_size, "no memory for the built-in module table");
        return -1;
    }
    status = preinitialize();
    if (PyStatus_Exception(status))
        return failed(status, why, why_size);
    PyConfig_InitPythonConfig(&config);
    status = fill(&config, program, argc, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        return failed(status, why, why_size);
    if (gw_signals_shown() < 0) {
        PyErr_Print();
        snprintf(why, why_size, "its signal module does not work");
        return -1;
    }
    return 0;
}
