"""The product's door with one transaction a request: no request waits for others."""

import os
from dataclasses import replace
from typing import Final

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

from emailtriggers.door import Door, Handler, Ways
from emailtriggers.threads import Pool

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailtriggers.settings")
_application = get_wsgi_application()
_ways: Ways = import_string("emailtriggers.ways.WAYS")


def _handler(method: str, path: str) -> Handler | None:
    """Leave events to Django's threads."""
    return None if path.startswith("/v1/") else _ways.handler(method, path)


door: Final = Door(
    _application,
    replace(_ways, handler=_handler),
    pool=Pool(settings.WEB_THREADS, waiting=settings.WEB_QUEUE),
    body_s=settings.WEB_BODY_S,
)
