"""Imports a module that does not exist.

A correct server shows the ModuleNotFoundError for ``there_is_no_such_module``, which is
not the module it was asked for, and does not start.
"""

import there_is_no_such_module


def application(environ, start_response):
    """Cannot be reached."""
    return there_is_no_such_module.application(environ, start_response)
