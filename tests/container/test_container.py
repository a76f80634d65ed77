"""What docs/containers.md promises, seen from outside of a container.

The images are built by the repository's Dockerfile and by those in that page. The root
file system can never be written to, and unless a test says otherwise nothing can.
"""

import hashlib
import json
import os
import re
import tempfile
import unittest
import zipfile

import image
import sample
from box import OUTSIDE, Box

METADATA = "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def tearDownModule():
    image.prune()


class TestImage(unittest.TestCase):
    def test_says_how_it_is_run(self):
        config = sample.gowsgi().config
        self.assertRegex(config.user, r"^[1-9]\d*:[1-9]\d*$")
        self.assertEqual(config.entrypoint, ["gowsgi"])
        self.assertEqual(config.cmd, ["wsgi:application"])
        self.assertEqual(config.stopsignal, "SIGTERM")
        self.assertEqual(config.exposed, [config.env["PORT"]])
        self.assertEqual(config.workdir, "/app")

    def test_has_nothing_that_only_builds(self):
        with image.Mounted(sample.gowsgi().layers) as top:
            for name in (
                "usr/bin/gcc",
                "usr/local/go",
                "src",
                "usr/include/python3.11",
            ):
                self.assertFalse(os.path.exists(os.path.join(top, name)), name)
            self.assertTrue(os.path.exists(top + "/usr/bin/python3"))

    def test_is_small(self):
        debian = image.base("debian:bookworm-slim").size()
        self.assertLess((sample.gowsgi().size() - debian) / 2**20, 80)


class TestContainer(unittest.TestCase):
    def box(self, of, *command, **more):
        return self.enterContext(Box(of, *command, **more))

    def enterContext(self, context):  # unittest has it from 3.11 on
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def test_serves_flask_as_nobody_with_nothing_to_write_to(self):
        box = self.box(sample.flask()).ready()
        self.assertIn("http://0.0.0.0:8000", box.stderr.text())
        self.assertIn(" [1] ", box.stderr.text())
        self.assertNotIn("root", box.stderr.text())
        self.assertEqual(box.ask("/hello"), (200, "Hello, World!\n"))
        status, text = box.ask("/tell")
        self.assertEqual(status, 200)
        told = json.loads(text)
        self.assertEqual((told["uid"], told["gid"]), (10001, 10001))
        self.assertLessEqual(set(told["groups"]), {10001})
        self.assertEqual((told["cwd"], told["encoding"]), ("/app", "utf-8"))
        self.assertEqual(box.ask("/write"), (200, '{"can be written to":[]}\n'))
        self.assertEqual(box.stop(), 0)

    def test_serves_as_whoever_it_is_started_as(self):
        # As some orchestrators do: a user that no file of the image knows.
        box = self.box(sample.flask(), user="1234567:0").ready()
        told = json.loads(box.ask("/tell")[1])
        self.assertEqual((told["uid"], told["gid"]), (1234567, 0))
        self.assertEqual(box.health()[0], 0)
        self.assertEqual(box.stop(), 0)

    def test_writes_a_line_when_there_is_one(self):
        box = self.box(sample.flask()).ready()
        box.ask("/print")
        box.stdout.wait_for("said by print")
        access = box.stdout.wait_for("GET /print")
        self.assertRegex(
            access, r'^127\.0\.0\.1 - - \[.*\] "GET /print HTTP/1\.1" 200 '
        )
        box.ask("/fail")
        box.stderr.wait_for("Traceback (most recent call last)")

    def test_bodies_too_large_for_memory_need_a_tmpfs(self):
        body = os.urandom(2**20) * 3
        form = (
            b"--x\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n"
            + body
            + b"\r\n--x--\r\n"
        )

        def upload(box):
            client = box.client()
            fields = {"Content-Type": "multipart/form-data; boundary=x"}
            client.request("POST", "/upload", form, fields)
            answer = client.getresponse()
            text = answer.read()
            client.close()
            return answer.status, text

        box = self.box(sample.flask()).ready()
        self.assertEqual(upload(box)[0], 503)
        box.stderr.wait_for("a request body cannot be buffered")
        self.assertEqual(box.ask("/hello")[0], 200)
        status, text = upload(self.box(sample.flask(), tmpfs=["/tmp"]).ready())
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(text)["sha256"], hashlib.sha256(body).hexdigest())

    def test_serves_django(self):
        box = self.box(sample.django(), "mysite.wsgi", tmpfs=["/tmp"]).ready()
        code, text = box.execute("python3", "-m", "mysite.prepare")
        self.assertEqual((code, text), (0, ""))
        status, text = box.ask("/notes/")
        self.assertEqual(status, 200)
        self.assertIn("csrfmiddlewaretoken", box.ask("/notes/add/")[1] + text)
        self.assertEqual(box.stop(), 0)

    def test_installs_packages_with_pip(self):
        with tempfile.TemporaryDirectory() as folder:
            wheel = "greeting-1.0-py3-none-any.whl"
            about = "greeting-1.0.dist-info/"
            with zipfile.ZipFile(os.path.join(folder, wheel), "w") as file:
                for name, text in (
                    ("greeting.py", "TEXT = b'from a package\\n'\n"),
                    (about + "METADATA", METADATA),
                    (about + "WHEEL", WHEEL),
                    (about + "RECORD", ""),
                ):
                    # Always of the same date: what is the same is not built anew.
                    file.writestr(zipfile.ZipInfo(name), text)
            sample.write(folder, "requirements.txt", "--find-links .\ngreeting==1.0\n")
            sample.write(
                folder,
                "wsgi.py",
                "import sys, greeting\n"
                "def application(environ, start_response):\n"
                "    start_response('200 OK', [])\n"
                "    return [greeting.TEXT, sys.prefix.encode()]\n",
            )
            # What is not on the network here is beside the list of requirements.
            text = sample.dockerfiles()[0].replace(
                "COPY requirements.txt .", "COPY . ."
            )
            text = text.replace("pip install", "pip install --no-index")
            self.assertIn("--no-index", text)
            installed = sample.on_gowsgi(text, folder)
        box = self.box(installed).ready()
        self.assertEqual(box.ask("/"), (200, "from a package\n/venv"))
        code, text = box.execute("python3", "-c", "import greeting; print('found')")
        self.assertEqual((code, text), (0, "found\n"))

    def test_port_and_concurrency_are_variables(self):
        env = {"PORT": "9001", "WEB_CONCURRENCY": "3"}
        box = self.box(sample.flask(), env=env).ready()
        self.assertIn("workers=3", box.stderr.wait_for("http://0.0.0.0:9001"))
        self.assertEqual(box.ask("/hello", port=9001)[0], 200)
        self.assertEqual(box.health()[0], 0)

    def test_arguments_are_those_of_gowsgi(self):
        box = self.box(sample.flask(), "-b", "127.0.0.1:9002", "-w2", "wsgi").ready()
        self.assertIn("workers=2", box.stderr.wait_for("http://127.0.0.1:9002"))
        code, text = box.health()
        self.assertEqual((code, text), (0, "ready: http://127.0.0.1:9002/-/readyz\n"))

    def test_a_start_that_fails_says_so_by_its_exit_code(self):
        for command, code, words in (
            ("nothing:application", 3, "nothing"),
            ("wsgi:nothing", 4, "nothing"),
            ("--nonsense", 2, "no flag --nonsense"),
        ):
            box = self.box(sample.flask(), command)
            self.assertEqual(box.wait(), code, box.stderr.text())
            self.assertIn(words, box.stderr.text())

    def test_probes_reach_everybody_because_the_image_asks_for_it(self):
        box = self.box(sample.flask()).ready()
        for host in ("127.0.0.1", OUTSIDE):
            self.assertEqual(box.ask("/-/healthz", host=host), (200, "alive\n"))
            self.assertEqual(box.ask("/-/readyz", host=host), (200, "ready\n"))
        box.ask("/hello")
        box.stdout.wait_for("/hello")
        self.assertNotIn("/-/", box.stdout.text())

    def test_probes_are_off_where_nobody_asks(self):
        # An empty variable says nothing: as without the image's.
        box = self.box(sample.flask(), env={"GOWSGI_HEALTH_PATH": ""}).ready()
        for host in ("127.0.0.1", OUTSIDE):
            self.assertEqual(box.ask("/-/readyz", host=host)[0], 404)
        code, text = box.health()
        self.assertEqual(code, 1)
        self.assertIn("GOWSGI_HEALTH_PATH", text)

    def test_stop_signal_lets_requests_finish(self):
        box = self.box(sample.flask()).ready()
        client = box.client()
        client.request("GET", "/slow?seconds=0.7")
        box.stdout.wait_for("begun")
        box.signal(box.config.stopsignal)
        box.stderr.wait_for("stopping")
        answer = client.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b"done\n"))
        client.close()
        self.assertEqual(box.wait(), 0)

    def test_drains_before_it_stops(self):
        box = self.box(sample.flask(), env={"GOWSGI_DRAIN_DELAY": "10m"}).ready()
        self.assertEqual(box.health()[0], 0)
        box.signal(box.config.stopsignal)
        box.stderr.wait_for("--drain-delay")
        code, text = box.health()
        self.assertEqual((code, "503" in text), (1, True), text)
        self.assertEqual(box.ask("/hello")[0], 200)
        self.assertEqual(box.stop(), 0)

    def test_health_is_told_in_time(self):
        box = self.box(sample.flask()).ready()
        flags = box.config.health_flags
        within = box.config.healthcheck[-1]
        self.assertLess(float(within.rstrip("s")), float(flags["timeout"].rstrip("s")))
        box.signal("SIGSTOP")
        try:
            code, text = box.health()
        finally:
            box.signal("SIGCONT")
        self.assertEqual((code, "deadline exceeded" in text), (1, True), text)

    def test_leaves_no_zombies(self):
        box = self.box(sample.flask()).ready()
        for _ in range(3):
            self.assertEqual(box.ask("/orphan")[0], 200)
        # Orphans are process 1's; the last of them ends, and nothing is left of it.
        for _ in range(600):
            names = [name for name, _, _ in box.processes().values()]
            if "sleep" not in names:
                break
        self.assertNotIn("sleep", names)
        states = [state for _, state, _ in box.processes().values()]
        self.assertNotIn("Z", states)

    def test_limits_of_the_container_make_defaults(self):
        groups = {
            name: f"/sys/fs/cgroup/{name}/container" for name in ("cpu", "memory")
        }
        if not all(os.path.isdir(os.path.dirname(one)) for one in groups.values()):
            self.skipTest("no control groups of version 1 to put a container into")
        for folder in groups.values():
            os.makedirs(folder, exist_ok=True)
            self.addCleanup(os.rmdir, folder)
        sample.write(groups["cpu"], "cpu.cfs_quota_us", "110000")
        sample.write(groups["memory"], "memory.limit_in_bytes", "512M")
        box = self.box(sample.flask(), groups=groups).ready()
        workers = min(2, os.cpu_count())
        self.assertIn(f"workers={workers} ", box.stderr.text())
        code, text = box.execute("gowsgi", "--print-config", "wsgi")
        self.assertEqual(code, 0, text)
        text = re.sub(" +", " ", text)
        why = "# cgroup limit: 1.1 processors, 512 MiB"
        self.assertIn(f"# workers = {workers} {why}\n", text)
        self.assertIn(f'# max-worker-memory = "{409 // workers}M" {why}\n', text)
        self.assertEqual(box.stop(), 0)
