"""All settings, from the environment; a bad value stops the start by its name.

Without DATABASE_URL this is a demo on one machine: an embedded PostgreSQL and a
generated secret, both kept in VAR_DIR. With it, nothing secret has a default.
docs/settings.md lists every variable; emailtriggers.variables makes it of this file.
"""

import hashlib
import hmac
import os
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from jinja2 import StrictUndefined

from emailtriggers import __version__, caching, connecting, embedded, logs, theme
from emailtriggers.bounded import (
    Literally,
    base_url,
    boolean,
    choice,
    integer,
    keys,
    networks,
    secret,
    token,
    with_files,
)

BASE_DIR = Path(__file__).resolve().parent.parent
env = Literally()
if (BASE_DIR / ".env").exists():
    env.read_env(BASE_DIR / ".env")
# Each of these may be in a file instead, named by the variable with _FILE at its end.
SECRETS = (
    "DATABASE_URL",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "ADDRESS_HASH_KEY",
    "UNSUBSCRIBE_KEYS",
    "SENDGRID_API_KEY",
    "CACHE_URL",
    "METRICS_TOKEN",
)
env.ENVIRON = with_files(os.environ, SECRETS)

# --- Where we are -----------------------------------------------------------
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).absolute()
DATABASE_URL = env.str("DATABASE_URL", default="")
EMBEDDED = not DATABASE_URL
EMBEDDED_PG_DIR = Path(
    env.str("EMBEDDED_PG_DIR", default=str(VAR_DIR / "postgres"))
).absolute()
PROCESS_NAME = env.str("PROCESS_NAME", default="emailtriggers")
# Whether this is a django-q2 cluster; its supervisor says so.
IN_CLUSTER = bool(env.str("Q_CLUSTER_NAME", default=""))
VERSION = __version__
# The processes that serve share what they count; those have a PROCESS_NAME.
SERVES = bool(env.str("PROCESS_NAME", default="")) or sys.argv[1:2] == ["cluster"]
METRICS_DIR = VAR_DIR / "metrics" if SERVES else None
METRICS_TOKEN = env.str("METRICS_TOKEN", default="").strip()
METRICS_NETWORKS = networks(env, "METRICS_NETWORKS")
METRICS_PORT = integer(env, "METRICS_PORT", 0, low=0, high=65535)
DEBUG = boolean(env, "DEBUG", default=False)
PORT = integer(env, "PORT", 8000, low=1, high=65535)
BIND = env.str("BIND", default="127.0.0.1")
INBOX_PORT = integer(env, "INBOX_PORT", 8025, low=1, high=65535)
PUBLIC_URL = base_url(env, "PUBLIC_URL", f"http://localhost:{PORT}")
HTTPS = PUBLIC_URL.startswith("https://")

# --- Secrets ----------------------------------------------------------------
SECRET_KEY = secret(
    env,
    "SECRET_KEY",
    keep_in=VAR_DIR / "secret_key" if EMBEDDED else None,
    writes=sys.argv[1:2] != ["doctor"],  # which changes nothing
)
SECRET_KEY_FALLBACKS = list(keys(env, "SECRET_KEY_FALLBACKS"))


def _derived(purpose: str, secret_key: str = SECRET_KEY) -> str:
    """Return a key for one purpose, which tells nothing of the secret."""
    return hmac.new(
        secret_key.encode(), b"emailtriggers/" + purpose.encode(), hashlib.sha256
    ).hexdigest()


# The first one hashes. It must stay: campaigns.deciding.address_key looks after it.
ADDRESS_HASH_KEYS = keys(env, "ADDRESS_HASH_KEY") or (_derived("address-hash"),)
# Newest first: the first one signs, all are accepted. Links derived from a former
# SECRET_KEY work as long as it is among the fallbacks.
UNSUBSCRIBE_KEYS = keys(env, "UNSUBSCRIBE_KEYS") or tuple(
    _derived("unsubscribe", each) for each in (SECRET_KEY, *SECRET_KEY_FALLBACKS)
)

# --- The provider -----------------------------------------------------------
SENDGRID_API_KEY = token(env, "SENDGRID_API_KEY")
SIMULATED = not SENDGRID_API_KEY
SENDGRID_HOST = base_url(
    env,
    "SENDGRID_HOST",
    f"http://127.0.0.1:{INBOX_PORT}" if SIMULATED else "https://api.sendgrid.com",
)
# With a database of its own, an installation that forgot its key must not find out
# by mails that went to nobody: campaigns.journeys.demo_data.
PROVIDER_NAMED = (
    EMBEDDED
    or not SIMULATED
    or (
        bool(env.str("SENDGRID_HOST", default=""))
        and not f".{urlsplit(SENDGRID_HOST).hostname}".endswith(".sendgrid.com")
    )
)
if not SIMULATED and not HTTPS:
    raise ImproperlyConfigured(
        f"PUBLIC_URL is {PUBLIC_URL!r}; with a SENDGRID_API_KEY it must be https, for "
        "it is the base of unsubscribe links in real mail."
    )

# --- The engine -------------------------------------------------------------
DEMO_SPEED = integer(env, "DEMO_SPEED", 1, low=1, high=3600)
DEDUPE_DAYS = integer(env, "DEDUPE_DAYS", 30, low=1, high=365)
EVENT_RETENTION_MONTHS = integer(env, "EVENT_RETENTION_MONTHS", 13, low=1, high=120)
WEBHOOK_MAX_AGE = timedelta(
    hours=integer(env, "WEBHOOK_MAX_AGE_HOURS", 26, low=1, high=24 * 30)
)
PUBLIC_RATE_PER_MINUTE = integer(
    env, "PUBLIC_RATE_PER_MINUTE", 600, low=1, high=1_000_000
)
# Counts those rates for all workers and hosts together; nothing else is kept there.
CACHES = caching.caches(env, "CACHE_URL")
# How many proxies of ours stand before us: the client's address is that many
# entries from the right of X-Forwarded-For. 0: the connection's own address.
TRUSTED_PROXIES = integer(env, "TRUSTED_PROXIES", 0, low=0, high=10)
RECORD_ORDER = False  # tests switch it on (design, invariant 8)

# --- Dispatch: POST deadline < lease < task time-out < retry ----------------
POST_DEADLINE_S = integer(env, "POST_DEADLINE_S", 8, low=1, high=9)
LEASE_S = integer(env, "LEASE_S", 20, low=11, high=40)
TASK_TIMEOUT_S = 45
TASK_RETRY_S = 300
CLUSTER_WORKERS = integer(env, "CLUSTER_WORKERS", 2, low=1, high=64)
CLUSTER_THREADS = integer(env, "CLUSTER_THREADS", 8, low=1, high=64)
CLUSTER_FEEDBACK_WORKERS = integer(env, "CLUSTER_FEEDBACK_WORKERS", 1, low=1, high=64)
CLUSTER_STALE_S = integer(env, "CLUSTER_STALE_S", 25, low=12, high=300)
# A name for this host, unique among those that share the database.
CLUSTER_HOST = env.str("CLUSTER_HOST", default=os.uname().nodename)[:40]

# What each cluster does: `probe` says cheaply whether work is due, `task` does it,
# `every` holds seconds between runs of a task without a probe.
CLUSTERS = {
    "mail": {
        "probe": "campaigns.dispatch.due.anything_due",
        "task": "campaigns.tasks.drain_mail",
        "every": {"campaigns.tasks.housekeeping": 60},
    },
    "feedback": {
        "probe": "campaigns.feedback.due.anything_due",
        "task": "campaigns.tasks.apply_feedback",
        "every": {},
    },
}
Q_CLUSTER = {
    "name": "mail",
    "orm": "default",
    "broker_class": "campaigns.queue.DueBroker",
    "workers": CLUSTER_WORKERS,
    # One task waits while all workers are busy: a canary never stands behind many.
    "queue_limit": 1,
    "bulk": 1,
    "timeout": TASK_TIMEOUT_S,
    "retry": TASK_RETRY_S,
    "max_attempts": 5,
    "ack_failures": False,
    "recycle": 1000,
    "save_limit": -1,
    "catch_up": False,
    "scheduler": False,  # the broker emits what is periodic
    "guard_cycle": 0.5,
    "ALT_CLUSTERS": {"feedback": {"workers": CLUSTER_FEEDBACK_WORKERS}},
}

# --- Web --------------------------------------------------------------------
WEB_WORKERS = integer(env, "WEB_WORKERS", min(2, os.cpu_count() or 1), low=1, high=256)
WEB_THREADS = integer(env, "WEB_THREADS", 16, low=1, high=256)
# The door before Django (emailtriggers.door); all of it for each worker.
WEB_QUEUE = integer(env, "WEB_QUEUE", 128, low=1, high=10_000)
WEB_CONNECTIONS = integer(env, "WEB_CONNECTIONS", 10_000, low=16, high=100_000)
WEB_HEADER_S = integer(env, "WEB_HEADER_S", 20, low=1, high=60)
WEB_BODY_S = integer(env, "WEB_BODY_S", 30, low=1, high=300)
ALLOWED_HOSTS = [
    *env.list("ALLOWED_HOSTS", default=[]),
    str(urlsplit(PUBLIC_URL).hostname),
    "localhost",
    "127.0.0.1",
    "[::1]",
]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# With that prefix browsers take them from this very host only, and only by TLS.
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 60 * 60  # seconds; then one signs in again
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"  # the admin shows mails in frames of its own
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
LOGIN_REDIRECT_URL = "/admin/"
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains is for their owner to decide
    "security.W008",  # TLS ends at the proxy, and redirecting is the proxy's work
    "security.W019",  # see X_FRAME_OPTIONS
    "security.W021",  # so is the preload list
]
# Ingest reads bodies by its own limits; this guards the forms of the admin.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
FILE_UPLOAD_HANDLERS: list[str] = []  # no form takes a file, so none is ever kept
# Django's default is a cookie, which browsers would keep with the addresses in it.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

ADMIN_THEME = choice(env, "ADMIN_THEME", ("unfold", "plain"))
UNFOLD = theme.UNFOLD
# The clusters show no page, and the screens' modules are a quarter of a start.
ADMIN_APP = (
    "django.contrib.admin.apps.SimpleAdminConfig"
    if PROCESS_NAME.startswith("cluster")
    else "django.contrib.admin"
)
INSTALLED_APPS = [
    *(["unfold"] if ADMIN_THEME == "unfold" else []),
    ADMIN_APP,
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_q",
    "campaigns",
    "emailtriggers",
]
MIDDLEWARE = [
    "emailtriggers.probes.any_host",
    "django.middleware.security.SecurityMiddleware",
    "emailtriggers.headers.content_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "emailtriggers.urls"
WSGI_APPLICATION = "emailtriggers.wsgi.application"
# The API's paths have no trailing slash, and a POST cannot be redirected.
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "NAME": "jinja2",
        "DIRS": [
            BASE_DIR / "templates" / "email",
            BASE_DIR / "templates" / "campaigns",
        ],
        "APP_DIRS": False,
        "OPTIONS": {"autoescape": True, "undefined": StrictUndefined},
    },
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "libraries": {"et_dashboard": "campaigns.admin.dashboard"},
        },
    },
]

STATIC_URL = "static/"
# Set STATIC_ROOT and run collectstatic to serve files compressed beforehand; unset,
# the web workers find them in the packages when they start.
STATIC_ROOT = env.str("STATIC_ROOT", default="") or None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

# --- Database ---------------------------------------------------------------
try:
    DATABASES = {
        "default": env.db_url_config(DATABASE_URL or embedded.url(EMBEDDED_PG_DIR))
    }
except ValueError:  # its text would quote a part of the URL, perhaps the password's
    raise ImproperlyConfigured(
        "DATABASE_URL cannot be read as a URL; write what is special in its password "
        "as %XX."
    ) from None
# A socket's folder is written %2Fvar%2Frun in a URL.
DATABASES["default"]["HOST"] = unquote(DATABASES["default"]["HOST"])
if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured(
        "DATABASE_URL must name a PostgreSQL, like postgresql://user:password@host/name."
    )
# Whether a replica that takes over has all that was committed: only with synchronous
# replication. Otherwise its new timeline is treated like a restored backup.
TRUST_FAILOVER = boolean(env, "TRUST_FAILOVER", default=False)
# Whether a pooler in transaction mode stands between, such as PgBouncer: then nothing
# may be kept in a session (docs/scale.md).
DATABASE_POOLED = boolean(env, "DATABASE_POOLED", default=False)
DATABASES["default"] |= {
    "CONN_MAX_AGE": None,  # one connection a thread, kept
    "CONN_HEALTH_CHECKS": True,
    "DISABLE_SERVER_SIDE_CURSORS": DATABASE_POOLED,
    "OPTIONS": {
        **DATABASES["default"].get("OPTIONS", {}),
        **(connecting.pooled if DATABASE_POOLED else connecting.straight)(PROCESS_NAME),
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- The rest ---------------------------------------------------------------
LANGUAGE_CODE = "en-us"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
AUTHENTICATION_BACKENDS = ["emailtriggers.signing_in.BoundedBackend"]
_VALIDATORS = "django.contrib.auth.password_validation."
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATORS}UserAttributeSimilarityValidator"},
    {"NAME": f"{_VALIDATORS}MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "emailtriggers.passwords.LengthBound"},
    {"NAME": f"{_VALIDATORS}CommonPasswordValidator"},
    {"NAME": f"{_VALIDATORS}NumericPasswordValidator"},
]
LOG_LEVEL = choice(env, "LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR"))
LOG_FORMAT = logs.chosen(choice(env, "LOG_FORMAT", logs.FORMATS), sys.argv)
LOGGING = logs.configured(LOG_FORMAT, level=LOG_LEVEL, process=PROCESS_NAME)
