"""Correct answers, for the parts of a misbehaving application that behave."""

import json


def text(start_response, body, status="200 OK"):
    """Answers a str, as UTF-8, with its length."""
    block = body.encode("utf-8")
    start_response(
        status,
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(block))),
        ],
    )
    return [block]


def as_json(start_response, value):
    """Answers a value as JSON, in ASCII, with its length."""
    block = json.dumps(value, sort_keys=True).encode("ascii")
    start_response(
        "200 OK",
        [("Content-Type", "application/json"), ("Content-Length", str(len(block)))],
    )
    return [block]
