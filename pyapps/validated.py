"""Any application here behind wsgiref.validate, which checks both sides of PEP 3333.

``validated:wrap("hello:application")`` as the server's argument: the same answers, but
a slip of the server (or of the application) is an AssertionError, so 500 and a
traceback. The validator refuses read() without a size, more than one read argument and
input.close(), so applications that use those cannot be wrapped.
"""

from importlib import import_module
from operator import attrgetter
from wsgiref.validate import validator


def wrap(name):
    """Returns the application MODULE[:NAME] (dots allowed on both sides), wrapped."""
    module, _, attribute = name.partition(":")
    found = attrgetter(attribute or "application")(import_module(module))
    return validator(found)
