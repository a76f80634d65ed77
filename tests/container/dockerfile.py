"""Reads a Dockerfile: the instructions that gowsgi's own ones use, and no other.

What is not understood is an error with its line: nothing is skipped in silence.
https://docs.docker.com/reference/dockerfile/
"""

import fnmatch
import json
import re
import shlex
from dataclasses import dataclass, field

WORDS = {
    "FROM",
    "ARG",
    "ENV",
    "RUN",
    "COPY",
    "WORKDIR",
    "USER",
    "EXPOSE",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ENTRYPOINT",
    "CMD",
}
FLAGS = {
    "COPY": {"from", "chown"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "retries"},
}


class Mistake(ValueError):
    """The Dockerfile cannot be understood; the text names the line."""


@dataclass
class Instruction:
    """One instruction: ``word`` in capitals, ``flags`` without dashes, the rest."""

    line: int
    word: str
    text: str
    flags: dict = field(default_factory=dict)

    def fail(self, why):
        raise Mistake(f"line {self.line}: {self.word} {self.text}: {why}")

    def command(self):
        """The words of CMD and the like; the shell form becomes one of /bin/sh."""
        listed = self.listed()
        return ["/bin/sh", "-c", self.text] if listed is None else listed

    def listed(self):
        """The words of the form in JSON, or None if this is another form."""
        if not self.text.startswith("["):
            return None
        try:
            words = json.loads(self.text)
        except ValueError:
            return None
        if not all(isinstance(word, str) for word in words):
            self.fail("not a list of texts")
        return words


def parse(text):
    """Returns the Instructions of a Dockerfile, in order."""
    found, pending, begun = [], "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*#", line):
            if re.match(r"#\s*(syntax|escape|check)\s*=", line) and not found:
                raise Mistake(f"line {number}: parser directives are not understood")
            continue
        if not line.strip() and not pending:
            continue
        begun = begun or number
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1]
            continue
        found.append(instruction(begun, (pending + line).strip()))
        pending, begun = "", 0
    if pending:
        raise Mistake(f"line {begun}: ends in a continuation")
    if not any(one.word == "FROM" for one in found):
        raise Mistake("no FROM")
    return found


def instruction(line, text):
    word, _, rest = text.partition(" ")
    one = Instruction(line, word.upper(), rest.strip())
    if one.word not in WORDS:
        one.fail("this instruction is not understood")
    if "<<" in one.text and one.word in ("RUN", "COPY"):
        one.fail("here-documents are not understood")
    while match := re.match(r"--([a-z-]+)=(\S+)\s+", one.text):
        if match[1] not in FLAGS.get(one.word, ()):
            one.fail(f"the flag --{match[1]} is not understood")
        one.flags[match[1]] = match[2]
        one.text = one.text[match.end() :]
    if one.text.startswith("--"):
        one.fail("this flag is not understood")
    return one


VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})")


def expand(text, variables):
    """Puts values in the place of $NAME, ${NAME}, ${NAME:-else}, ${NAME:+then}."""

    def value(match):
        name = match[1] or match[2]
        if name is None:
            return "$"
        is_set = variables.get(name, "")
        if match[3] == ":-":
            return is_set or match[4]
        if match[3] == ":+":
            return match[4] if is_set else ""
        return is_set

    return VARIABLE.sub(value, text)


def pairs(one, variables):
    """The NAME=VALUE of an ENV instruction, as a dict."""
    found = {}
    for word in shlex.split(one.text):
        name, equals, value = word.partition("=")
        if not equals:
            one.fail(f"{word}: want NAME=VALUE")
        found[name] = expand(value, variables)
    return found


class Ignored:
    """What a .dockerignore keeps out of a context; the last rule that fits counts."""

    def __init__(self, text=""):
        self.rules = []
        for line in text.splitlines():
            line = line.strip()
            if line and not line.startswith("#"):
                keep = line.startswith("!")
                self.rules.append((line.lstrip("!").strip("/"), keep))

    def holds(self, path):
        """Tells whether the path, relative to the context, is kept out."""
        out = False
        parts = path.split("/")
        above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        for pattern, keep in self.rules:
            if any(fnmatch.fnmatchcase(one, pattern) for one in above):
                out = not keep
        return out
