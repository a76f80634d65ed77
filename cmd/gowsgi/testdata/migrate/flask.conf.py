import os

from decouple import config

if os.environ.get("FLASK_ENV_OF_THIS_TEST") == "development":
    reload = True
    workers = 1
else:
    workers = 3

bind = ["0.0.0.0:%s" % os.environ.get("PORT_OF_THIS_TEST", 5000), "[::]:5000"]
worker_class = "gevent"
worker_connections = 1000
threads = config("THREADS", cast=int, default=2)
logconfig_dict = {"version": 1}
proc_name = "flask \"app\""
daemon = True
pythonpath = "/srv/a,/srv/b"
on_starting = print

for name in ("A", "B"):
    os.environ.setdefault(name, "1")
workers += 1
