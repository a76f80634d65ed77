"""What ``make run`` serves: a page that shows gowsgi at work.

/         who answers, the environ of this very request, links to the rest
/stream   ten lines, half a second apart: each is seen as soon as it is made
/echo     the environ as JSON (echo.py)
/upload   POST: length and digest of the body, read in constant memory (upload.py)
/hello    the smallest answer (hello.py)

Nothing here reads or writes files by name, so it may be shown to others.
"""

import html
import os
import platform
import threading
import time

import echo
import hello
import upload

LINES = 10
PAUSE = 0.5  # seconds between the lines of /stream

# Values of these may be somebody's secret: shown by name only.
HIDDEN = {"HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_PROXY_AUTHORIZATION"}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gowsgi</title>
<style>
:root {{ color-scheme: light dark; --edge: #8884; --quiet: #888; --tint: #2a8fbd; }}
body {{ font: 16px/1.55 system-ui, sans-serif; max-width: 56rem; margin: 0 auto;
       padding: 3rem 1.25rem; }}
h1 {{ font-size: 2.6rem; letter-spacing: -.03em; margin: 0; }}
h1 + p {{ color: var(--quiet); margin-top: .25rem; }}
nav a, button {{ display: inline-block; margin: 0 .5rem .5rem 0; padding: .35rem .8rem;
       border: 1px solid var(--edge); border-radius: .5rem; color: var(--tint);
       background: none; font: inherit; text-decoration: none; cursor: pointer; }}
nav a:hover, button:hover {{ border-color: var(--tint); }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; }}
dt {{ color: var(--quiet); }}
dd {{ margin: 0; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%;
       font: 14px/1.5 ui-monospace, monospace; }}
td, th {{ border-top: 1px solid var(--edge); padding: .3rem 1rem .3rem 0;
       text-align: left; vertical-align: top; overflow-wrap: anywhere; }}
th {{ font-weight: 600; white-space: nowrap; }}
td:last-child {{ color: var(--quiet); white-space: nowrap; padding-right: 0; }}
#sent {{ font: 14px ui-monospace, monospace; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>gowsgi</h1>
<p>One Go program that serves Python WSGI applications. This page is one of them.</p>
<dl>
<dt>Server</dt><dd>{server}</dd>
<dt>Python</dt><dd>{python}</dd>
<dt>Answered by</dt><dd>process {pid}, thread {thread}</dd>
<dt>Request</dt><dd>{request}</dd>
</dl>
<nav>
<a href="{root}/stream">Streamed lines</a>
<a href="{root}/echo">environ as JSON</a>
<a href="{root}/hello">Hello</a>
</nav>
<form id="form"><input type="file" id="file" aria-label="File" required>
<button>Upload</button> <span id="sent"></span></form>
<h2>environ</h2>
<div class="wide"><table>
<tr><th scope="col">Key</th><th scope="col">Value</th><th scope="col">Type</th></tr>
{rows}
</table></div>
<script>
form.onsubmit = async event => {{
  event.preventDefault();
  sent.textContent = "sending";
  try {{
    const options = {{method: "POST", body: file.files[0]}};
    const told = await (await fetch("{root}/upload", options)).json();
    sent.textContent = told.length + " bytes, sha256 " + told.sha256;
  }} catch (error) {{
    sent.textContent = "failed: " + error.message;
  }}
}};
</script>
</body>
</html>
"""


def as_text(native):
    """Returns a native string's bytes as the UTF-8 they most likely are."""
    return native.encode("latin-1", "replace").decode("utf-8", "replace")


def shown(key, value):
    """Returns what the table says of a value."""
    if key in HIDDEN:
        return "(not shown)"
    return as_text(value) if isinstance(value, str) else repr(value)


def row(key, value):
    """Returns one row of the table, as HTML."""
    cells = html.escape(shown(key, value)), html.escape(type(value).__name__)
    return "<tr><th scope='row'>{}</th><td>{}</td><td>{}</td></tr>".format(
        html.escape(key), *cells
    )


def page(environ):
    """Returns the page for this environ, as bytes."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    request = f"{environ['REQUEST_METHOD']} {path} {environ['SERVER_PROTOCOL']}"
    text = PAGE.format(
        server=html.escape(environ.get("SERVER_SOFTWARE", "unnamed")),
        python=html.escape(
            f"{platform.python_implementation()} {platform.python_version()}"
        ),
        pid=os.getpid(),
        thread=html.escape(threading.current_thread().name),
        request=html.escape(as_text(request)),
        root=html.escape(as_text(environ.get("SCRIPT_NAME", ""))),
        rows="\n".join(row(key, environ[key]) for key in sorted(environ)),
    )
    return text.encode("utf-8")


def index(environ, start_response):
    """Answers the page."""
    body = page(environ)
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    start_response("200 OK", headers)
    return [body]


def stream(environ, start_response):
    """Answers LINES lines, PAUSE seconds apart."""
    # nosniff: browsers otherwise hold the first lines back to guess a type.
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    ]
    start_response("200 OK", headers)
    for number in range(1, LINES + 1):
        yield b"line %d of %d\n" % (number, LINES)
        if number < LINES:
            time.sleep(PAUSE)


def missing(environ, start_response):
    """Answers that there is nothing here."""
    body = b"There is nothing here.\n"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("404 Not Found", headers)
    return [body]


PAGES = {
    "/": index,
    "": index,
    "/stream": stream,
    "/echo": echo.application,
    "/upload": upload.application,
    "/hello": hello.application,
}


def application(environ, start_response):
    """Answers the page that the path names."""
    answer = PAGES.get(environ.get("PATH_INFO", "/"), missing)
    return answer(environ, start_response)
