"""The WSGI application: ``gowsgi --chdir pyapps/django_site mysite.wsgi``.

Its database is made first, by ``manage.py migrate`` and ``manage.py seed`` or by
``python3 -m mysite.prepare``, with the same environment variables (see settings.py).
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

application = get_wsgi_application()
