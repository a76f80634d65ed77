"""Factories, called by the server once, at start: ``misbehave.factory:create_app()``.

create_app(debug=False, name="x")
    returns an application that answers its arguments as JSON, and how often create_app
    has been called in this process.
create_broken()
    raises RuntimeError: traceback, no start.
create_nothing()
    returns None: not callable, no start.
create_literals(*positional, **named)
    answers the repr() of what it got: shows which literals the command line can carry.
create_app without call
    is a callable, so the server starts, and each request gives a TypeError or a wrong
    iterable: 500. A server may hint at the missing ``()``.
"""

from misbehave import answers

calls = 0


def create_app(debug=False, name="x"):
    global calls
    calls += 1
    told = {"debug": debug, "name": name, "calls": calls}

    def application(environ, start_response):
        return answers.as_json(start_response, told)

    return application


def create_broken():
    raise RuntimeError("create_broken raises as asked")


def create_nothing():
    return None


def create_literals(*positional, **named):
    text = f"{positional!r} {named!r}\n"

    def application(environ, start_response):
        return answers.text(start_response, text)

    return application
