"""The settings of django-post-office, with a database of its own."""

import os

import environ

SECRET_KEY = os.environ["SECRET_KEY"]
INSTALLED_APPS = ["django.contrib.contenttypes", "post_office"]
DATABASES = {"default": environ.Env().db_url_config(os.environ["DATABASE_URL"])}
DATABASES["default"] |= {
    "HOST": DATABASES["default"]["HOST"].replace("%2F", "/").replace("%2f", "/"),
    "CONN_MAX_AGE": None,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
