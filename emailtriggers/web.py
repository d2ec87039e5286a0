"""What granian serves: the door before Django, as the settings say."""

from typing import Final

from django.conf import settings
from django.utils.module_loading import import_string

from campaigns.deciding.garbage import collect_less
from emailtriggers.door import Door, Ways
from emailtriggers.serving import allow_files
from emailtriggers.threads import Pool
from emailtriggers.wsgi import application

# Importable only now that Django is set up.
_ways: Ways = import_string("emailtriggers.ways.WAYS")

allow_files()
door: Final = Door(
    application,
    _ways,
    pool=Pool(settings.WEB_THREADS, waiting=settings.WEB_QUEUE),
    body_s=settings.WEB_BODY_S,
)
collect_less()
