"""The guest book with files: what send_file and a form with a token ask of a server.

Serve it as ``flask_app.attachments:app``: everything flask_app answers, and

========================  ==========================================================
GET /files?q=PART         the page: names of files, those with PART in them, and the
                          form, its token kept in the session (template)
POST /files               multipart fields ``token`` (the session's, else 403) and
                          ``file`` (with a plain name, else 400): keeps the file, 303
                          to it
GET /files/NAME           the file as a download by wsgi.file_wrapper: with ETag and
                          Last-Modified, so 304 and ranges; 404 when there is none
========================  ==========================================================

FLASK_FILES names the folder to keep them in.
"""

import os
import secrets
from pathlib import Path

from flask import redirect, render_template, request, send_from_directory, session
from flask import url_for

from . import app, refusal


def folder():
    """Returns the folder of the files; it has to be there."""
    return Path(os.environ["FLASK_FILES"])


def session_token():
    """Returns this session's token, made when there is none."""
    return session.setdefault("token", secrets.token_urlsafe())


def is_plain(name):
    """Tells whether a name is one of a file, not of a path or a hidden file."""
    return bool(name) and "/" not in name and "\0" not in name and name[0] != "."


@app.get("/files")
def list_files():
    part = request.args.get("q", "")
    names = sorted(n for n in os.listdir(folder()) if part in n and is_plain(n))
    return render_template("files.html", names=names, token=session_token())


@app.post("/files")
def keep_file():
    sent = request.form.get("token", "").encode()
    if not secrets.compare_digest(sent, session.get("token", "no token").encode()):
        return refusal(403, "The form was not this session's.")
    file = request.files.get("file")
    if file is None or not is_plain(file.filename):
        return refusal(400, "A file with a plain name is needed.")
    # Whole or not at all: another worker may be asked for it at any moment.
    arriving = folder() / f".{secrets.token_hex(8)}"
    file.save(arriving)
    arriving.rename(folder() / file.filename)
    return redirect(url_for("send_file", name=file.filename), code=303)


@app.get("/files/<name>")
def send_file(name):
    if not is_plain(name):
        return refusal(404, f"There is nothing at {request.path}.")
    return send_from_directory(folder(), name, as_attachment=True)
