"""A guest book in Flask: what an ordinary Flask application asks of its server.

Serve it as ``flask_app:app``. State lives in the memory of one process, so a test that
posts and then lists needs one worker; the session lives in a signed cookie and works
with any number.

========================  ==========================================================
GET /                     the page: entries, form, who is logged in (template)
GET /hello                ``Hello, World!\\n``, what the bench asks for
POST /entries             form field ``text`` (required, else 400): adds an entry,
                          303 to /
GET, POST /login          form field ``name``: puts it into the session, 303 to /;
                          an empty name gives 400
POST /logout              empties the session, 303 to /
GET /me                   ``{"name": …}`` from the session; 401 when there is none
POST /upload              multipart field ``file``: JSON of name, type, length, sha256
GET /api/entries          JSON list of entries
POST /api/entries         JSON object with ``text``: 201 and the entry; else 400
GET /stream?lines=N       N lines, one block each, from a generator that still has its
                          request (stream_with_context)
GET /fail                 raises: the handler for 500 answers a page, the traceback
                          goes to wsgi.errors
anything else             the handler for 404 answers a page
========================  ==========================================================
"""

import hashlib
import os
import threading

from flask import (
    Flask,
    Response,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    stream_with_context,
    url_for,
)

app = Flask(__name__)
# All workers must agree on the key, or a cookie signed by one is void for the next.
app.secret_key = os.environ.get("FLASK_SECRET_KEY", "gowsgi shows sessions, no secret")

MAX_ENTRIES = 1000

entries = []
entries_lock = threading.Lock()


def add_entry(text):
    """Keeps the last MAX_ENTRIES entries; returns the new one."""
    entry = {"text": text, "name": session.get("name", "nobody")}
    with entries_lock:
        entries.append(entry)
        del entries[:-MAX_ENTRIES]
    return entry


def refusal(status, reason):
    """Answers a small page for a request that cannot be served."""
    return render_template("refusal.html", status=status, reason=reason), status


@app.get("/")
def index():
    with entries_lock:
        shown = list(reversed(entries))
    return render_template("index.html", entries=shown, name=session.get("name"))


@app.get("/hello")
def hello():
    return Response("Hello, World!\n", mimetype="text/plain")


@app.post("/entries")
def post_entry():
    text = request.form.get("text", "").strip()
    if not text:
        return refusal(400, "An entry needs a text.")
    add_entry(text)
    return redirect(url_for("index"), code=303)


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "GET":
        return render_template("login.html")
    name = request.form.get("name", "").strip()
    if not name:
        return refusal(400, "Say who you are.")
    session["name"] = name
    return redirect(url_for("index"), code=303)


@app.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("index"), code=303)


@app.get("/me")
def me():
    if "name" not in session:
        return jsonify(error="not logged in"), 401
    return jsonify(name=session["name"])


@app.post("/upload")
def upload():
    file = request.files.get("file")
    if file is None:
        return jsonify(error="the form field is called file"), 400
    digest = hashlib.sha256()
    length = 0
    for block in iter(lambda: file.stream.read(64 * 1024), b""):
        digest.update(block)
        length += len(block)
    return jsonify(
        name=file.filename,
        type=file.mimetype,
        length=length,
        sha256=digest.hexdigest(),
    )


@app.get("/api/entries")
def list_entries():
    with entries_lock:
        return jsonify(list(entries))


@app.post("/api/entries")
def create_entry():
    told = request.get_json(silent=True)
    text = told.get("text") if isinstance(told, dict) else None
    if not isinstance(text, str) or not text.strip():
        return jsonify(error="want an object with a text"), 400
    return jsonify(add_entry(text.strip())), 201


@app.get("/stream")
def stream():
    lines = request.args.get("lines", 10, type=int)

    def numbered():
        for number in range(lines):
            yield f"{request.path} line {number}\n"

    return Response(stream_with_context(numbered()), mimetype="text/plain")


@app.get("/fail")
def fail():
    raise RuntimeError("flask_app fails as asked")


@app.errorhandler(404)
def not_found(error):
    return refusal(404, f"There is nothing at {request.path}.")


@app.errorhandler(500)
def failed(error):
    return refusal(500, "The application failed; its traceback is in the error log.")
