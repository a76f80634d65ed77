"""Settings of the notes project, for Django 3.2 to 5.x.

Read from the environment:

DJANGO_SQLITE
    path of the database file; default: notes.sqlite3 in a directory of this user's own
    under the system's temporary directory, the same for every process.
DJANGO_MEDIA
    directory of uploaded files; default: media beside the database.
DJANGO_SECRET_KEY
    signs sessions and CSRF tokens; the default is no secret.
"""

import os
import tempfile
from pathlib import Path


def own_directory():
    """Returns a directory that only this user can use, made when missing."""
    path = Path(tempfile.gettempdir()) / f"gowsgi-django-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    # Its name can be guessed, so somebody else may have made it first.
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise RuntimeError(f"{path} belongs to somebody else: set DJANGO_SQLITE")
    return path


BASE_DIR = Path(__file__).resolve().parent.parent
DATABASE = Path(os.environ.get("DJANGO_SQLITE") or own_directory() / "notes.sqlite3")

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "gowsgi shows sessions, no secret")
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "notes",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(DATABASE),
        # Workers write at the same time: wait for the lock, in seconds, before failing.
        "OPTIONS": {"timeout": 20},
        # One connection per worker thread, kept from request to request.
        "CONN_MAX_AGE": None,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
MEDIA_ROOT = os.environ.get("DJANGO_MEDIA") or str(DATABASE.parent / "media")

LOGIN_REDIRECT_URL = "/notes/"
LOGOUT_REDIRECT_URL = "/notes/"

# Without DEBUG Django mails failures to nobody; here they go to standard error.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}
