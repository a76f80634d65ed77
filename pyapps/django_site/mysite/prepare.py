"""Makes the database ready in one step, for tests and the bench.

``python3 -m mysite.prepare`` in pyapps/django_site, or ``prepare()`` from Python with
that directory on sys.path. DJANGO_SQLITE and DJANGO_MEDIA (settings.py) say where; set
them before. Doing it twice changes nothing.
"""

import os


def prepare():
    """Migrates the database and fills it: user admin, password gowsgi, 20 notes."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    # Both need the settings to be named first.
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    call_command("seed", verbosity=0)


if __name__ == "__main__":
    prepare()
