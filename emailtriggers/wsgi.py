"""The WSGI application; Django by ASGI costs ten times as much a request."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailtriggers.settings")
application = get_wsgi_application()
