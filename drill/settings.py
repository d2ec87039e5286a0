"""The product's settings, and beside its apps one that disturbs it from within.

Only drilled processes load this module (DJANGO_SETTINGS_MODULE=drill.settings), and
nothing of the product names it: no setting of the product can sabotage it.
"""

from emailtriggers.settings import *  # noqa: F403 - all of it, and one app more
from emailtriggers.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "drill.inside"]
