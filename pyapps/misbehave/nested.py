"""Applications that are no plain functions, some behind dots; all behave.

``site.application``        a function that is an attribute of an object
``site.inner.application``  the same, one deeper
``Iterable``                a class: calling it makes the iterable (PEP 3333)
``instance``                an object with __call__
``bound``                   a bound method
``partial``                 a functools.partial
``positional``              an object whose __call__ takes positional arguments only
``site.missing``            not there: the server names the attribute and the object

Each answers its own name and a line feed.
"""

import functools
from types import SimpleNamespace

from misbehave import answers


def named(name, environ, start_response):
    return answers.text(start_response, f"{name}\n")


class Iterable:
    """Is called with environ and start_response, and iterated over."""

    def __init__(self, environ, start_response):
        self.start_response = start_response

    def __iter__(self):
        return iter(answers.text(self.start_response, "Iterable\n"))


class Application:
    """An application by __call__, and by a method."""

    def __call__(self, environ, start_response):
        return named("instance", environ, start_response)

    def method(self, environ, start_response):
        return named("bound", environ, start_response)


class AnyArguments:
    """Takes positional arguments only, as PEP 3333 has the server call it."""

    def __call__(self, *arguments):
        environ, start_response = arguments
        return named("positional", environ, start_response)


site = SimpleNamespace(
    application=functools.partial(named, "site.application"),
    inner=SimpleNamespace(
        application=functools.partial(named, "site.inner.application")
    ),
)
instance = Application()
bound = instance.method
partial = functools.partial(named, "partial")
positional = AnyArguments()
