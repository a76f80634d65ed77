"""Settings of the shop's server."""
import multiprocessing
import os
from pathlib import Path

BASE = Path(__file__).resolve().parent

bind = "unix:/run/shop/gunicorn.sock"
workers = min(2, multiprocessing.cpu_count()) * 0 + 5
worker_class = "gthread"
threads = int(os.environ.get("SHOP_THREADS_FOR_THIS_TEST", "4"))
worker_tmp_dir = "/dev/shm"
timeout = 2 * 60
graceful_timeout: int = 45
keepalive = 75
max_requests = 1_000
max_requests_jitter = max_requests // 20
preload_app = True
wsgi_app = "shop.wsgi:application"
raw_env = ["DJANGO_SETTINGS_MODULE=shop.settings", f"SHOP_WORKERS={workers}"]
accesslog = "-"
errorlog = "-"
loglevel = os.getenv("SHOP_LEVEL_FOR_THIS_TEST", "WARNING").lower()
access_log_format = '%(h)s "%(r)s" %(s)s %(L)s'
umask = 0o007
limit_request_line = 0
user = None
daemon = False
capture_output = True


def post_fork(server, worker):
    server.log.info("worker %s", worker.pid)


def when_ready(server):
    open("/tmp/ready", "w").close()
