"""The reader of Dockerfiles: what it understands, and that it guesses at nothing."""

import unittest

from dockerfile import Ignored, Mistake, expand, pairs, parse


class TestParse(unittest.TestCase):
    def test_joins_lines_and_drops_comments(self):
        text = "# c\nFROM a AS b\n\nRUN x \\\n# in between\n && y\nenv A=1 \\\n  B=2\n"
        found = [(one.line, one.word, one.text) for one in parse(text)]
        self.assertEqual(found[0], (2, "FROM", "a AS b"))
        self.assertEqual(found[1], (4, "RUN", "x  && y"))
        self.assertEqual(found[2][1], "ENV")
        self.assertEqual(pairs(parse(text)[2], {}), {"A": "1", "B": "2"})

    def test_takes_flags(self):
        _, copy, health = parse(
            "FROM a\nCOPY --from=b /x /y\nHEALTHCHECK --interval=1s CMD x y\n"
        )
        self.assertEqual((copy.flags, copy.text), ({"from": "b"}, "/x /y"))
        self.assertEqual((health.flags, health.text), ({"interval": "1s"}, "CMD x y"))

    def test_tells_the_forms_of_commands(self):
        _, listed, shell = parse('FROM a\nCMD ["x", "y z"]\nENTRYPOINT x $Y\n')
        self.assertEqual(listed.command(), ["x", "y z"])
        self.assertEqual(shell.command(), ["/bin/sh", "-c", "x $Y"])

    def test_refuses_what_it_does_not_know(self):
        for text in (
            "",
            "RUN x\n",
            "FROM a\nADD x y\n",
            "FROM a\nSHELL x\n",
            "FROM a\nRUN --mount=type=cache x\n",
            "FROM a\nCOPY --link x y\n",
            "FROM a\nRUN <<END\nx\nEND\n",
            "# syntax=docker/dockerfile:1\nFROM a\n",
            "FROM a\nRUN x \\\n",
            "FROM a\nONBUILD RUN x\n",
        ):
            with self.assertRaises(Mistake, msg=text):
                parse(text)

    def test_puts_variables_in(self):
        variables = {"A": "1", "E": ""}
        for text, want in (
            ("$A-${A}", "1-1"),
            ("${B:-x}${E:-y}${A:-z}", "xy1"),
            ("${A:+t}${E:+t}", "t"),
            (r"\$A$B", "$A"),
        ):
            self.assertEqual(expand(text, variables), want)


class TestIgnored(unittest.TestCase):
    def test_the_last_rule_counts(self):
        ignored = Ignored("# all\n*\n!cmd\n!.ci\ncmd/*.md\n")
        for path, want in (
            ("README.md", True),
            (".git/config", True),
            ("cmd/gowsgi/main.go", False),
            (".ci/need", False),
            ("cmd/notes.md", True),
        ):
            self.assertEqual(ignored.holds(path), want, path)
