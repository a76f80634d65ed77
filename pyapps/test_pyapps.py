"""Shows that the applications are right themselves, before a server is judged by them.

The well-behaved ones run behind wsgiref.validate, without any server. Of the others it
is shown that they can be imported (or fail in the way they say), and that the variants
which PEP 3333 allows are right. Run it in this folder:

    python3 -m unittest

Flask and Django have to be installed.
"""

import hashlib
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
from pathlib import Path
from urllib.parse import urlencode
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

HERE = Path(__file__).resolve().parent
DJANGO_SITE = HERE / "django_site"
for folder in (HERE, DJANGO_SITE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

BODY = b"first line\nsecond line, longer\nno line feed"


class Answer:
    """What an application answered: status, headers in lower case, body as bytes."""

    def __init__(self, status, headers, body):
        self.status = int(status.split()[0])
        self.reason = status
        self.headers = [(name.lower(), value) for name, value in headers]
        self.body = body

    def header(self, name):
        """Returns the first value of a header, or None."""
        return dict(reversed(self.headers)).get(name)

    def cookies(self):
        """Returns the name=value pairs that the answer sets, as a dict."""
        pairs = [value.partition(";")[0] for name, value in self.headers]
        names = [name for name, _ in self.headers]
        set_pairs = [p for n, p in zip(names, pairs) if n == "set-cookie"]
        return dict(pair.split("=", 1) for pair in set_pairs)

    def json(self):
        """Returns the body, read as JSON."""
        return json.loads(self.body)


def environ_for(method, target, body, headers):
    """Returns the environ of a request."""
    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
    }
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    setup_testing_defaults(environ)
    environ.update(headers)
    return environ


def open_exchange(application, environ):
    """Calls the application; returns its iterable and the list of starts."""
    starts = []
    written = []

    def start_response(status, headers, exc_info=None):
        if exc_info is None and starts:
            raise AssertionError("start_response called twice")
        starts.append((status, list(headers)))
        return written.append

    return application(environ, start_response), starts, written


def exchange(
    application, method="GET", target="/", body=b"", headers=(), validated=True
):
    """Makes one exchange and returns its Answer; close() is called as by a server."""
    environ = environ_for(method, target, body, dict(headers))
    if validated:
        application = validator(application)
    iterable, starts, written = open_exchange(application, environ)
    try:
        blocks = list(iterable)
    finally:
        if hasattr(iterable, "close"):
            iterable.close()
    status, sent_headers = starts[-1]
    return Answer(status, sent_headers, b"".join(written + blocks))


class Visitor:
    """A browser of few words: keeps cookies, posts forms and files."""

    def __init__(self, application):
        self.application = application
        self.cookies = {}

    def ask(self, method, target, body=b"", headers=()):
        """Makes one exchange with the cookies there are, and keeps the new ones."""
        sent = dict(headers)
        if self.cookies:
            pairs = self.cookies.items()
            sent["HTTP_COOKIE"] = "; ".join(f"{key}={value}" for key, value in pairs)
        answer = exchange(self.application, method, target, body, sent)
        self.cookies.update(answer.cookies())
        return answer

    def get(self, target):
        return self.ask("GET", target)

    def post(self, target, **fields):
        """Posts a form."""
        form = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
        return self.ask("POST", target, urlencode(fields).encode("ascii"), form)

    def post_file(self, target, name, content, **fields):
        """Posts a form with one file in the field ``file``."""
        parts = [
            f'--edge\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        parts.append(
            f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"'
            "\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        body = "".join(parts).encode("utf-8") + content + b"\r\n--edge--\r\n"
        form = {"CONTENT_TYPE": "multipart/form-data; boundary=edge"}
        return self.ask("POST", target, body, form)


class TestHello(unittest.TestCase):
    def test_any_request_gets_the_fourteen_bytes(self):
        import hello

        for method, target in [("GET", "/"), ("POST", "/some/where?x=1")]:
            answer = exchange(hello.application, method, target)
            self.assertEqual(answer.reason, "200 OK")
            self.assertEqual(answer.body, b"Hello, World!\n")
            self.assertEqual(answer.header("content-length"), "14")

    def test_headers_are_not_shared_between_requests(self):
        import hello

        _, starts, _ = open_exchange(
            hello.application, environ_for("GET", "/", b"", {})
        )
        starts[0][1].clear()
        answer = exchange(hello.application)
        self.assertEqual(answer.header("content-type"), "text/plain")

    def test_pid_names_this_process(self):
        import hello

        self.assertEqual(exchange(hello.pid).body, b"%d\n" % os.getpid())


class TestEcho(unittest.TestCase):
    def test_tells_environ_types_and_body(self):
        import echo

        headers = {"HTTP_X_NAME": "caf\xe9", 7: "seven"}
        environ = environ_for("POST", "/a//b?c=d", BODY, headers)
        iterable, _, _ = open_exchange(echo.application, environ)
        told = json.loads(b"".join(iterable))
        self.assertEqual(told["environ"]["PATH_INFO"], "/a//b")
        self.assertEqual(told["environ"]["QUERY_STRING"], "c=d")
        self.assertEqual(told["environ"]["HTTP_X_NAME"], "caf\xe9")
        self.assertEqual(told["environ"]["wsgi.version"], [1, 0])
        self.assertEqual(told["types"]["wsgi.version"], "tuple")
        self.assertEqual(told["types"]["wsgi.errors"], "StringIO")
        self.assertNotIn("wsgi.errors", told["environ"])
        self.assertEqual(told["environ_type"], "dict")
        self.assertEqual(told["odd_keys"], ["7"])
        self.assertEqual(bytes.fromhex(told["body"]["hex"]), BODY)
        self.assertEqual(told["body"]["sha256"], hashlib.sha256(BODY).hexdigest())

    def test_is_valid(self):
        import echo

        told = exchange(echo.application, "POST", "/", BODY).json()
        self.assertEqual(told["body"]["length"], len(BODY))

    def test_reads_a_chunked_body_only_when_the_input_ends_by_itself(self):
        import echo

        for terminated, want in [(True, BODY), (False, b"")]:
            environ = environ_for("POST", "/", BODY, {})
            del environ["CONTENT_LENGTH"]
            environ["wsgi.input_terminated"] = terminated
            self.assertEqual(echo.read_body(environ), want)


class TestCollection(unittest.TestCase):
    def test_mounts_the_others(self):
        import collection

        told = exchange(collection.application, target="/echo/a/b?c=d").json()
        self.assertEqual(told["environ"]["SCRIPT_NAME"], "/echo")
        self.assertEqual(told["environ"]["PATH_INFO"], "/a/b")
        self.assertTrue(told["url"].endswith("/echo/a/b?c=d"), told["url"])
        answer = exchange(collection.application, target="/none")
        self.assertEqual(answer.status, 404)


class TestStream(unittest.TestCase):
    def test_gives_the_blocks_asked_for(self):
        import stream

        answer = exchange(stream.application, target="/?blocks=5&size=7&delay=0.001")
        self.assertEqual(answer.body, b"x" * 35)
        self.assertIsNone(answer.header("content-length"))
        answer = exchange(stream.application, target="/?blocks=5&size=7&length=1")
        self.assertEqual(answer.header("content-length"), "35")

    def test_yields_one_object_again_and_again(self):
        import stream

        environ = environ_for("GET", "/?blocks=3&size=100000", b"", {})
        iterable, _, _ = open_exchange(stream.application, environ)
        self.assertEqual(len({id(block) for block in iterable}), 1)

    def test_refuses_a_wrong_query(self):
        import stream

        for target in ["/?blocks=x", "/?size=-1", "/sync", "/gate", "/release"]:
            with self.subTest(target):
                answer = exchange(stream.application, target=target)
                self.assertEqual(answer.status, 400)
        self.assertEqual(exchange(stream.application, target="/none").status, 404)

    def test_sync_waits_for_the_file_between_its_blocks(self):
        import stream

        with tempfile.TemporaryDirectory() as folder:
            signal_file, mark = Path(folder, "signal"), Path(folder, "mark")
            query = urlencode({"file": signal_file, "mark": mark})
            environ = environ_for("GET", f"/sync?{query}", b"", {})
            iterable, _, _ = open_exchange(stream.application, environ)
            blocks = iter(iterable)
            self.assertEqual(next(blocks), b"first\n")
            signal_file.touch()
            self.assertEqual(list(blocks), [b"second\n"])
            iterable.close()
            self.assertEqual(mark.read_text(), "closed after 2 blocks\n")

    def test_gate_waits_for_release(self):
        import stream

        environ = environ_for("GET", "/gate?id=a", b"", {})
        iterable, _, _ = open_exchange(stream.application, environ)
        blocks = iter(iterable)
        self.assertEqual(next(blocks), b"first\n")
        rest = []
        waiting = threading.Thread(target=lambda: rest.extend(blocks))
        waiting.start()
        released = exchange(stream.application, target="/release?id=a")
        waiting.join(stream.PATIENCE)
        self.assertEqual(released.body, b"released\n")
        self.assertEqual(rest, [b"second\n"])
        self.assertEqual(stream.gates, {})


class TestWitness(unittest.TestCase):
    def test_keeps_calls_until_it_is_asked(self):
        application = importlib.import_module("witness").application
        exchange(application, target="/calls")
        post = exchange(application, method="POST", target="/a?b", body=b"c").json()
        exchange(application, target="/d")
        seen = exchange(application, target="/calls").json()
        self.assertEqual(["/a?b", "/d"], [call["target"] for call in seen])
        self.assertEqual(("POST", "c"), (post["method"], post["body"]))
        self.assertEqual(post, seen[0])
        self.assertEqual([], exchange(application, target="/calls").json())


class TestUpload(unittest.TestCase):
    def told(self, query, validated=False):
        import upload

        target = f"/?{query}"
        answer = exchange(upload.application, "POST", target, BODY, (), validated)
        self.assertEqual(answer.status, 200)
        return answer.json()

    def test_every_way_reads_the_whole_body(self):
        ways = ["read-n", "read", "readline", "readlines", "iter", "readinto"]
        for how in ways + ["past-end"]:
            for size in ("", "&n=4", "&n=1000"):
                with self.subTest(how=how, size=size):
                    told = self.told(f"how={how}{size}")
                    self.assertEqual(told["length"], len(BODY))
                    self.assertEqual(told["sha256"], hashlib.sha256(BODY).hexdigest())

    def test_validated_ways(self):
        for query in ["how=read-n", "how=readline", "how=readlines", "how=iter"]:
            with self.subTest(query):
                self.assertEqual(self.told(query, True)["length"], len(BODY))

    def test_reads_only_what_it_says(self):
        self.assertEqual(self.told("how=none")["length"], 0)
        self.assertEqual(self.told("how=half")["length"], len(BODY) // 2)
        self.assertIsNone(self.told("hash=no")["sha256"])

    def test_past_end_finds_nothing_more(self):
        told = self.told("how=past-end")
        self.assertEqual(told["after_end"], ["b''", "b''", "b''", "[]", "[]", "b''"])

    def test_refuses_a_wrong_query(self):
        import upload

        for query in ["how=never", "n=-1", "n=x"]:
            answer = exchange(upload.application, "POST", f"/?{query}", BODY)
            self.assertEqual(answer.status, 400, query)


class TestDownload(unittest.TestCase):
    def test_every_file_has_the_content_it_says(self):
        import download

        whole = download.content(1000)
        wants = {path: whole for path in download.PATHS}
        wants["/offset"] = whole[10:]
        for path, want in wants.items():
            with self.subTest(path), tempfile.TemporaryDirectory() as folder:
                query = urlencode({"size": 1000, "mark": Path(folder, "mark")})
                answer = exchange(
                    download.application,
                    target=f"{path}?{query}",
                    # More than its Content-Length, which is the server's to cut.
                    validated=path != "/cut",
                )
                self.assertEqual(answer.body, want)
                if path != "/reader":  # has no close()
                    self.assertEqual(Path(folder, "mark").read_text(), "closed\n")

    def test_tells_whether_the_server_wraps(self):
        import download

        told = exchange(download.application, target="/wrapped").json()
        self.assertEqual(told, {"there": False, "type": "NoneType"})
        wrapper = {"wsgi.file_wrapper": FileWrapper}
        answer = exchange(download.application, target="/wrapped", headers=wrapper)
        self.assertEqual(answer.json(), {"there": True, "type": "type"})

    def test_hands_the_file_to_the_wrapper_of_the_server(self):
        import download

        class Wrapper(FileWrapper):
            """What a server would recognise."""

        for path in sorted(download.PATHS - {"/loop"}):
            headers = {"wsgi.file_wrapper": Wrapper}
            environ = environ_for("GET", f"{path}?size=10", b"", headers)
            iterable, _, _ = open_exchange(download.application, environ)
            self.assertIsInstance(iterable, Wrapper, path)
            b"".join(iterable)
            if hasattr(iterable, "close"):
                iterable.close()


class TestValidated(unittest.TestCase):
    def test_wraps_by_name(self):
        import validated

        for name in ["hello", "hello:pid", "misbehave.nested:site.inner.application"]:
            answer = exchange(validated.wrap(name), validated=False)
            self.assertEqual(answer.status, 200, name)

    def test_refuses_what_the_pep_forbids(self):
        import validated

        application = validated.wrap("misbehave.blocks")
        with self.assertRaises(AssertionError):
            exchange(application, target="/yields?what=str", validated=False)


class TestHandover(unittest.TestCase):
    def test_named_answers_itself_too(self):
        import handover

        with tempfile.TemporaryDirectory() as folder:
            mark = Path(folder, "mark")
            target = f"/named?header=X-Name&value=/a&mark={mark}"
            answer = exchange(handover.application, target=target)
            self.assertEqual(
                (answer.status, answer.body), (200, b"from the application\n")
            )
            self.assertIn(("x-name", "/a"), answer.headers)
            self.assertEqual(mark.read_text(), "closed\n")

    def test_files_give_what_is_in_them(self):
        import handover

        content = handover.BLOCK
        upper = {"override", "subclass"}
        special = {"small": content[:1024], "pipe": content[:1024]}
        for kind in sorted(handover.KINDS.keys() - {"proc"}):
            want = special.get(kind, content)
            want = want.upper() if kind in upper else want
            answer = exchange(handover.application, target=f"/file?kind={kind}&skip=9")
            self.assertEqual((answer.status, answer.body), (200, want[9:]), kind)

    def test_hints_are_given_where_they_are_taken(self):
        import handover

        answer = exchange(handover.application, target="/hints")
        self.assertEqual((answer.status, answer.body), (200, b"hinted\n"))


class TestAfterwards(unittest.TestCase):
    """Without gowsgi: what docs/python-module.md has for that."""

    def test_functions_run_in_order(self):
        import afterwards

        with tempfile.TemporaryDirectory() as folder:
            mark = Path(folder, "mark")
            for kind in ("list", "generator", "write"):
                target = f"/answer?kind={kind}&mark={mark}"
                answer = exchange(afterwards.application, target=target)
                self.assertEqual((answer.status, answer.body), (200, b"whole\n"))
                self.assertEqual(mark.read_text(), "first None\nlast None\n")
                mark.unlink()
            answer = exchange(afterwards.application, target="/answer?kind=empty")
            self.assertEqual((answer.status, answer.body), (200, b""))

    def test_failures_show(self):
        import afterwards

        for target in ("/answer?fails=1", "/answer?kind=raise"):
            with self.assertRaises(RuntimeError):
                exchange(afterwards.application, target=target, validated=False)

    def test_endless_goes_on(self):
        import afterwards

        blocks, _, _ = open_exchange(
            afterwards.application, environ_for("GET", "/answer?kind=endless", b"", {})
        )
        self.assertEqual(len(next(blocks)), len(next(blocks)))

    def test_there_is_neither_worker_nor_request(self):
        import afterwards

        told = exchange(afterwards.application, target="/ids").json()
        none = {"worker_id": None, "request_id": None, "environ": None}
        self.assertEqual(told, none)

    def test_postfork_and_atshutdown(self):
        code = (
            "from afterwards import gowsgi\n"
            "@gowsgi.postfork\n"
            "def begin(): print('begin')\n"
            "@gowsgi.atshutdown\n"
            "def end(): print('end')\n"
            "print(begin.__name__, end.__name__)\n"
        )
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=HERE, capture_output=True, check=True
        )
        self.assertEqual(said.stdout, b"begin\nbegin end\nend\n")


class TestDemo(unittest.TestCase):
    def test_page_shows_the_environ_and_hides_secrets(self):
        import demo

        headers = {"HTTP_X_ODD": "<b>caf\xc3\xa9", "HTTP_COOKIE": "key=secret"}
        answer = exchange(demo.application, headers=headers)
        text = answer.body.decode("utf-8")
        self.assertEqual(answer.header("content-type"), "text/html; charset=utf-8")
        self.assertIn("&lt;b&gt;café", text)
        self.assertIn("HTTP_COOKIE", text)
        self.assertNotIn("key=secret", text)

    def test_every_link_of_the_page_answers(self):
        import demo

        page = exchange(demo.application).body.decode("utf-8")
        links = re.findall(r'href="([^"]+)"', page)
        self.assertEqual(sorted(links), ["/echo", "/hello", "/stream"])
        with unittest.mock.patch.object(demo, "PAUSE", 0.0):
            for link in links:
                answer = exchange(demo.application, target=link)
                self.assertEqual(answer.status, 200, link)
        told = exchange(demo.application, "POST", "/upload", BODY).json()
        self.assertEqual(told["length"], len(BODY))
        self.assertEqual(exchange(demo.application, target="/none").status, 404)


class TestFlask(unittest.TestCase):
    def setUp(self):
        import flask_app

        flask_app.entries.clear()
        self.visitor = Visitor(flask_app.app)

    def test_session_lasts_from_login_to_logout(self):
        self.assertEqual(self.visitor.get("/me").status, 401)
        self.assertEqual(self.visitor.post("/login", name="Zoë").status, 303)
        self.assertEqual(self.visitor.get("/me").json(), {"name": "Zoë"})
        self.assertIn("Zoë", self.visitor.get("/").body.decode("utf-8"))
        self.visitor.post("/logout")
        self.assertEqual(self.visitor.get("/me").status, 401)
        self.assertEqual(self.visitor.post("/login", name=" ").status, 400)
        self.assertEqual(self.visitor.get("/login").status, 200)

    def test_entries_by_form_and_by_json(self):
        self.assertEqual(self.visitor.post("/entries", text="<one>").status, 303)
        self.assertEqual(self.visitor.post("/entries").status, 400)
        header = {"CONTENT_TYPE": "application/json"}
        made = self.visitor.ask("POST", "/api/entries", b'{"text": "two"}', header)
        self.assertEqual((made.status, made.json()["text"]), (201, "two"))
        for wrong in [b"", b"[]", b"{", b'{"text": 1}']:
            answer = self.visitor.ask("POST", "/api/entries", wrong, header)
            self.assertEqual(answer.status, 400, wrong)
        texts = [entry["text"] for entry in self.visitor.get("/api/entries").json()]
        self.assertEqual(texts, ["<one>", "two"])
        self.assertIn(b"&lt;one&gt;", self.visitor.get("/").body)

    def test_upload_tells_the_digest(self):
        content = bytes(range(256)) * 4000
        told = self.visitor.post_file("/upload", "a.bin", content).json()
        self.assertEqual((told["name"], told["length"]), ("a.bin", len(content)))
        self.assertEqual(told["sha256"], hashlib.sha256(content).hexdigest())
        self.assertEqual(self.visitor.post("/upload").status, 400)

    def test_streams_and_says_hello(self):
        answer = self.visitor.get("/stream?lines=2")
        self.assertEqual(answer.body, b"/stream line 0\n/stream line 1\n")
        self.assertEqual(self.visitor.get("/hello").body, b"Hello, World!\n")

    def test_failures_have_pages(self):
        self.assertEqual(self.visitor.get("/none").status, 404)
        with self.assertLogs("flask_app", "ERROR") as log:
            self.assertEqual(self.visitor.get("/fail").status, 500)
        self.assertIn("flask_app fails as asked", "".join(log.output))


class TestDjango(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        os.environ["DJANGO_SQLITE"] = str(Path(cls.folder.name, "notes.sqlite3"))
        os.environ["DJANGO_MEDIA"] = str(Path(cls.folder.name, "media"))
        from mysite import prepare

        prepare.prepare()
        prepare.prepare()  # twice is harmless
        from mysite.wsgi import application

        cls.application = staticmethod(application)

    def setUp(self):
        self.visitor = Visitor(self.application)

    def token(self, target):
        """Returns the CSRF token in the form of a page."""
        page = self.visitor.get(target).body.decode("utf-8")
        return re.search(r'csrfmiddlewaretoken" value="(\w+)"', page).group(1)

    def test_lists_the_seeded_notes(self):
        text = self.visitor.get("/notes/").body.decode("utf-8")
        self.assertEqual(len(re.findall(r"<li>", text)), 20)
        titles = self.visitor.get("/notes/export/").body.decode("utf-8").splitlines()
        self.assertIn("Note 1", titles)
        self.assertEqual(self.visitor.get("/notes/1/").status, 200)
        with self.assertLogs("django.request", "WARNING"):
            self.assertEqual(self.visitor.get("/notes/9999/").status, 404)
        self.assertEqual(self.visitor.get("/").status, 302)

    def test_session_counts_visits(self):
        counts = [self.visitor.get("/notes/visits/").json() for _ in range(3)]
        self.assertEqual(counts, [{"visits": 1}, {"visits": 2}, {"visits": 3}])
        stranger = Visitor(self.application)
        self.assertEqual(stranger.get("/notes/visits/").json(), {"visits": 1})

    def test_note_with_a_file_comes_back(self):
        from notes.models import Note

        content = bytes(range(256)) * 20_000  # large enough for a file on disk
        made = self.visitor.post_file(
            "/notes/add/",
            "a.bin",
            content,
            title="With a file",
            csrfmiddlewaretoken=self.token("/notes/add/"),
        )
        self.assertEqual(made.status, 302)
        page = made.header("location")
        self.assertIn(b"Kept: With a file", self.visitor.get(page).body)
        file = self.visitor.get(f"{page}file/")
        self.assertEqual(file.body, content)
        self.assertEqual(file.header("content-length"), str(len(content)))
        with self.assertLogs("django.request", "WARNING"):
            self.assertEqual(self.visitor.get("/notes/1/file/").status, 404)
        Note.objects.get(title="With a file").delete()

    def test_post_without_token_is_refused(self):
        with self.assertLogs("django.security.csrf", "WARNING"):
            self.assertEqual(self.visitor.post("/notes/add/", title="x").status, 403)
        token = self.token("/notes/add/")
        again = self.visitor.post("/notes/add/", title="", csrfmiddlewaretoken=token)
        self.assertEqual(again.status, 200)
        self.assertIn(b"required", again.body)

    def test_admin_after_login(self):
        self.assertEqual(self.visitor.get("/admin/").status, 302)
        target = "/admin/login/?next=/admin/"
        login = self.visitor.post(
            target,
            username="admin",
            password="gowsgi",
            csrfmiddlewaretoken=self.token(target),
        )
        self.assertEqual(login.status, 302)
        self.assertEqual(self.visitor.get("/admin/notes/note/").status, 200)
        self.assertEqual(self.visitor.get("/static/admin/css/base.css").status, 200)

    def test_failure_is_logged(self):
        with self.assertLogs("django.request", "ERROR") as log:
            self.assertEqual(self.visitor.get("/notes/fail/").status, 500)
        self.assertIn("notes fail as asked", "".join(log.output))

    def test_models_and_migrations_agree(self):
        from django.core.management import call_command

        call_command("makemigrations", check=True, dry_run=True, verbosity=0)


class TestCitizen(unittest.TestCase):
    MODULES = {
        name: importlib.import_module(f"citizen.{name}")
        for name in ("rights", "processes", "signals", "faults")
    }

    def ask(self, module, target):
        return exchange(self.MODULES[module].application, target=target)

    def test_unknown_paths_answer_404(self):
        for module in self.MODULES:
            with self.subTest(module):
                self.assertEqual(self.ask(module, "/no/such/variant").status, 404)

    def test_every_variant_of_the_docstring_is_there(self):
        for module, loaded in self.MODULES.items():
            for path in re.findall(r"^/[a-z-]+", loaded.__doc__, re.M):
                with self.subTest(module=module, path=path):
                    self.assertRegex(
                        Path(loaded.__file__).read_text("utf-8"), f'"{path}": [a-z]'
                    )

    def test_processes_do_in_a_script_what_they_say(self):
        # Under nohup, or behind a shell's &, these are ignored by whatever is started.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
                self.addCleanup(signal.signal, number, signal.SIG_IGN)
        wants = {"/shell": 3, "/dispositions": []}
        for start in ("fork", "spawn"):
            wants[f"/process?start={start}"] = {"other": True, "exitcode": 3}
            wants[f"/pool?start={start}"] = [0, 1, 4, 9, 16]
            wants[f"/terminate?start={start}"] = -15
        for target, want in wants.items():
            with self.subTest(target):
                self.assertEqual(self.ask("processes", target).json(), want)
        for target in ("/subprocess", "/asyncio"):
            self.assertEqual(self.ask("processes", target).body, b"child\n")

    def test_signals_do_in_a_script_what_they_say(self):
        told = self.ask("signals", "/shown").json()
        self.assertEqual((told["SIGTERM"], told["SIGPIPE"]), ("SIG_DFL", "SIG_IGN"))
        self.assertTrue(self.ask("signals", "/counted").json())
        self.assertEqual(self.ask("signals", "/alarm").body, b"interrupted\n")
        self.assertEqual(self.ask("signals", "/restore").body, b"ok\n")

    def test_rights_are_those_of_this_process(self):
        told = self.ask("rights", "/who").json()
        self.assertEqual((told["uid"], told["cwd"]), (os.getuid(), os.getcwd()))
        self.assertIn("0", self.ask("rights", "/descriptors").json())
        self.assertIsNone(self.ask("rights", f"/reach?pid={os.getpid()}").json())
        parent = self.ask("rights", f"/reach?pid={os.getppid()}").json()
        self.assertEqual(parent["stat"], "done")


class TestMisbehave(unittest.TestCase):
    def test_modules_without_a_failing_import_answer_404_to_unknown_paths(self):
        modules = (
            "start_response blocks closing raising headers lengths dying slow leaking"
            " threads reading complaining tampering holes"
        ).split()
        for module in modules:
            with self.subTest(module):
                found = importlib.import_module(f"misbehave.{module}")
                answer = exchange(found.application, target="/no/such/variant")
                self.assertEqual(answer.status, 404)

    def test_docstring_names_every_variant(self):
        from misbehave import variants

        taken = []
        real = variants.by_path
        with unittest.mock.patch.object(
            variants, "by_path", lambda table: taken.append(table) or real(table)
        ):
            for module in (
                "start_response blocks closing raising lengths dying slow leaking"
                " threads reading complaining tampering holes"
            ).split():
                taken.clear()
                loaded = importlib.import_module(f"misbehave.{module}")
                loaded = importlib.reload(loaded)
                listed = set(re.findall(r"^/[a-z-]+", loaded.__doc__, re.M))
                named = listed | set(re.findall(r"(?<!\w)/[a-z-]+", loaded.__doc__))
                self.assertEqual(set(taken[0]) - named, set(), module)
                self.assertEqual(listed - set(taken[0]), set(), module)

    def test_failing_imports_fail_as_they_say(self):
        for module, kind in [
            ("missing_import", ModuleNotFoundError),
            ("broken_syntax", SyntaxError),
            ("raising_import", RuntimeError),
            ("exiting_import", SystemExit),
        ]:
            with self.subTest(module), self.assertRaises(kind):
                importlib.import_module(f"misbehave.{module}")

    def test_dying_import_ends_its_process(self):
        child = os.fork()
        if child == 0:
            importlib.import_module("misbehave.dying_import")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        self.assertEqual(os.WEXITSTATUS(status), 9)

    def test_imports_that_depend_on_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "signal")
            path.touch()
            named = {"IMPORT_WAITS_FOR": str(path), "IMPORT_FAILS_IF": str(path)}
            with unittest.mock.patch.dict(os.environ, named):
                waiting = importlib.import_module("misbehave.waiting_import")
                self.assertEqual(exchange(waiting.application).body, b"imported\n")
                with self.assertRaises(RuntimeError):
                    importlib.import_module("misbehave.fickle_import")
                path.unlink()
                fickle = importlib.import_module("misbehave.fickle_import")
        self.assertEqual(exchange(fickle.application).body, b"%d\n" % os.getpid())

    def test_factories_and_nested_names(self):
        from misbehave import factory, nested, not_callable

        app = factory.create_app(debug=True, name="y")
        told = exchange(app).json()
        self.assertEqual((told["debug"], told["name"]), (True, "y"))
        self.assertIsNone(factory.create_nothing())
        with self.assertRaises(RuntimeError):
            factory.create_broken()
        literals = exchange(factory.create_literals(1, "a", x=None)).body
        self.assertEqual(literals, b"(1, 'a') {'x': None}\n")
        for name in ["Iterable", "instance", "bound", "partial", "positional"]:
            want = f"{name}\n".encode("ascii")
            self.assertEqual(exchange(getattr(nested, name)).body, want)
        for name in ["application", "text", "nothing", "module"]:
            self.assertFalse(callable(getattr(not_callable, name)), name)

    def test_right_blocks_are_right(self):
        from misbehave import blocks

        wants = {
            "/one": b"one\n",
            "/several": b"one\ntwo\nthree\n",
            "/tuple": b"one\ntwo\n",
            "/none-yielded": b"",
            "/all-empty": b"",
            "/empty-between": b"one\ntwo\n",
            "/empty-replaced": b"replaced\n",
            "/len-one": b"one\n",
            "/big?size=10": b"b" * 10,
            "/tiny?count=7": b"t" * 7,
        }
        for target, want in wants.items():
            with self.subTest(target):
                self.assertEqual(exchange(blocks.application, target=target).body, want)

    def test_write_variants_keep_their_order(self):
        from misbehave import start_response

        wants = {"/write": b"one\ntwo\n", "/write-before": b"one\ntwo\nthree\nfour\n"}
        for target, want in wants.items():
            answer = exchange(start_response.application, target=target)
            self.assertEqual(answer.body, want)

    def test_kinds_raise_what_they_say(self):
        from misbehave import raising

        wants = {
            "error": RuntimeError,
            "key": KeyError,
            "exit": SystemExit,
            "exit-text": SystemExit,
            "interrupt": KeyboardInterrupt,
            "generator-exit": GeneratorExit,
            "stop": StopIteration,
            "memory": MemoryError,
            "recursion": RecursionError,
            "base": raising.OnlyBase,
            "unprintable": raising.Unprintable,
            "surrogate": RuntimeError,
            "chain": RuntimeError,
            "group": Exception,
            "huge": RuntimeError,
        }
        self.assertEqual(set(wants), set(raising.KINDS))
        for kind, want in wants.items():
            with self.subTest(kind), self.assertRaises(want):
                environ = environ_for("GET", f"/app?what={kind}", b"", {})
                open_exchange(raising.application, environ)

    def test_ways_to_die_are_deadly(self):
        from misbehave import dying

        wants = {
            "/kill": signal.SIGKILL,
            "/term": signal.SIGTERM,
            "/segv": signal.SIGSEGV,
            "/null": signal.SIGSEGV,
            "/abort": signal.SIGABRT,
            "/overflow": signal.SIGSEGV,
        }
        self.assertEqual(set(wants) | {"/exit", "/stop"}, set(dying.WAYS))
        for path, want in wants.items():
            with self.subTest(path):
                self.assertEqual(os.WTERMSIG(self.end_of(dying, path)), want)
        self.assertEqual(os.WEXITSTATUS(self.end_of(dying, "/exit")), 7)

    def end_of(self, dying, path):
        """Returns the wait status of a child that dies in that way."""
        child = os.fork()
        if child == 0:
            # Not a place to leave a core file or a report in.
            import faulthandler
            import resource

            faulthandler.disable()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            dying.WAYS[path]()
            os._exit(0)
        return os.waitpid(child, 0)[1]

    def test_dies_only_once_when_asked_so(self):
        from misbehave import dying

        with tempfile.NamedTemporaryFile() as there:
            target = f"/exit?once={there.name}"
            answer = exchange(dying.application, target=target)
        self.assertEqual(answer.body, b"alive %d\n" % os.getpid())

    def test_every_table_of_headers_has_entries_that_start_a_response(self):
        from misbehave import headers

        names = exchange(headers.application, target="/names").json()
        self.assertEqual(set(names), {"refused", "passed", "either"})
        for table in names.values():
            self.assertGreater(len(table), 5)
        for name in names["passed"]:
            with self.subTest(name):
                # The validator is stricter than PEP 3333 about latin-1 and
                # wants a Content-Type everywhere.
                answer = exchange(
                    headers.application, target=f"/passed/{name}", validated=False
                )
                self.assertEqual(answer.body, b"body\n")

    def test_close_is_recorded(self):
        from misbehave import closing

        with tempfile.TemporaryDirectory() as folder:
            mark = Path(folder, "mark")
            target = "/normal?" + urlencode({"mark": mark})
            exchange(closing.application, target=target)
            self.assertEqual(mark.read_text(), "closed\n")
        counted = exchange(closing.application, target="/counts").json()
        self.assertGreaterEqual(counted["/normal"], 1)

    def test_slow_ones_take_their_time_and_leave_marks(self):
        from misbehave import slow

        for path in ["/sleep", "/busy", "/gil", "/stubborn", "/blocks", "/stalled"]:
            with self.subTest(path), tempfile.TemporaryDirectory() as folder:
                query = urlencode({"seconds": "0.05", "mark": Path(folder, "mark")})
                began = time.monotonic()
                exchange(slow.application, target=f"{path}?{query}")
                self.assertGreaterEqual(time.monotonic() - began, 0.05)
                marked = Path(folder, "mark").read_text()
                self.assertEqual(marked, f"began {os.getpid()}\nended\n")

    def test_what_was_kept_can_be_used_and_dropped(self):
        from misbehave import leaking

        body = b"0123456789"
        self.assertEqual(exchange(leaking.application, target="/use").status, 409)
        for target in ["/keep?read=4", "/cycle"]:
            exchange(leaking.application, "POST", target, body, (), False)
        told = exchange(leaking.application, target="/use").json()
        self.assertEqual(told["read"], "b'456789'")
        self.assertEqual(told["environ"], "'/keep'")
        exchange(leaking.application, target="/drop")
        self.assertEqual(exchange(leaking.application, target="/use").status, 409)

    def test_threads_do_what_they_say(self):
        from misbehave import threads

        for path in ["/exit", "/fork", "/process", "/starts", "/local"]:
            with self.subTest(path):
                self.assertEqual(exchange(threads.application, target=path).status, 200)
        told = exchange(threads.application, "POST", "/reads", BODY).json()
        self.assertEqual(told, {"length": len(BODY)})
        self.assertTrue(exchange(threads.application, target="/who").json()["main"])

    def test_readers_read_what_they_say(self):
        from misbehave import reading

        for path in ["/zero", "/enormous", "/negative", "/none", "/arguments"]:
            with self.subTest(path):
                answer = exchange(reading.application, "POST", path, BODY, (), False)
                self.assertEqual(answer.json()["length"], len(BODY))
        answer = exchange(reading.application, "POST", "/duplex", BODY)
        self.assertEqual(answer.body, BODY)

    def test_complaints_reach_the_errors_stream(self):
        from misbehave import complaining

        wants = {
            "/write": "w one two\n",
            "/writelines": "w one\nw two\n",
            "/print": "w printed\n",
            "/flush": "w flushed\n",
            "/partial": "w no line feed",
            "/non-ascii": "w é € 漢 😀\n",
            "/in-close": "w closing\n",
        }
        for path, want in wants.items():
            with self.subTest(path):
                errors = io.StringIO()
                target, headers = f"{path}?id=w", {"wsgi.errors": errors}
                exchange(complaining.application, target=target, headers=headers)
                self.assertEqual(errors.getvalue(), want)

    def test_changes_of_the_environ_keep_the_answer(self):
        from misbehave import tampering

        for path in ["/clear", "/delete", "/replace", "/keys", "/grow"]:
            answer = exchange(tampering.application, target=path, validated=False)
            self.assertEqual(answer.body, b"ok\n", path)


if __name__ == "__main__":
    unittest.main()
