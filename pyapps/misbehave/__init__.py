"""WSGI applications that misbehave on purpose, one family of behaviour a module.

Each is served as ``misbehave.MODULE`` from the folder above. The path picks the
variant, the query its details; the module's docstring lists every variant and what a
correct server makes of it. Common to all of them:

* an unknown path gives 404, so a mistyped test cannot pass for a variant;
* ``mark=FILE`` in the query names a file that the variant appends lines to, for what
  cannot be seen in the response (marks.py);
* "500" means: a complete response 500, the traceback in the error log, the worker alive
  and the next request served;
* "aborted" means: the client can tell that the response is incomplete (no last chunk,
  fewer bytes than Content-Length, or a reset), the traceback is logged, worker alive.

They read and write files by name and kill their own process: never serve them to
strangers.
"""
