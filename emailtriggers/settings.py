"""Django's settings, read from the environment. Bad values fail at start, by name."""

from datetime import timedelta
from pathlib import Path

import environ

from emailtriggers.values import bounded, derived_key, secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = secret_key(env.str("SECRET_KEY", default=""), VAR_DIR)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"])
PUBLIC_URL = env.str("PUBLIC_URL", default="http://localhost:8000").rstrip("/")

INSTALLED_APPS = [
    *(["unfold"] if env.str("ADMIN_THEME", default="unfold") == "unfold" else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "django_q",
    "campaigns",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
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
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

EMBEDDED_PG_DIR = Path(env.str("EMBEDDED_PG_DIR", default=str(VAR_DIR / "postgres")))
DATABASE_URL = env.str("DATABASE_URL", default="")
DATABASES = {
    "default": env.db_url_config(DATABASE_URL)
    if DATABASE_URL
    else {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "emailtriggers",
        "USER": "postgres",
        "HOST": str(EMBEDDED_PG_DIR),
    }
}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=600)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {})["prepare_threshold"] = 0
DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", 5)

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
APPEND_SLASH = False

# What the engine reads.
SENDGRID_API_KEY = env.str("SENDGRID_API_KEY", default="")
SENDGRID_HOST = env.str(
    "SENDGRID_HOST",
    default="https://api.sendgrid.com"
    if SENDGRID_API_KEY
    else f"http://127.0.0.1:{env.int('INBOX_PORT', default=8025)}",
)
ADDRESS_HASH_KEY = derived_key(
    env.str("ADDRESS_HASH_KEY", default=""), SECRET_KEY, use="address-hash"
)
UNSUBSCRIBE_KEYS = [
    derived_key(value, SECRET_KEY, use="unsubscribe")
    for value in env.list("UNSUBSCRIBE_KEYS", default=[""])
]
DEMO_SPEED = bounded(
    env.int("DEMO_SPEED", default=1), name="DEMO_SPEED", low=1, high=3600
)
DEDUPE_DAYS = bounded(
    env.int("DEDUPE_DAYS", default=30), name="DEDUPE_DAYS", low=1, high=365
)
EVENT_RETENTION_MONTHS = bounded(
    env.int("EVENT_RETENTION_MONTHS", default=13),
    name="EVENT_RETENTION_MONTHS",
    low=1,
    high=120,
)
WEBHOOK_MAX_AGE = timedelta(
    hours=bounded(
        env.int("WEBHOOK_MAX_AGE", default=26), name="WEBHOOK_MAX_AGE", low=1, high=720
    )
)
PUBLIC_RATE_PER_MINUTE = bounded(
    env.int("PUBLIC_RATE_PER_MINUTE", default=600),
    name="PUBLIC_RATE_PER_MINUTE",
    low=1,
    high=1_000_000,
)
RECORD_ORDER = env.bool("RECORD_ORDER", default=False)
POST_DEADLINE_S = 8
LEASE_S = 20
SENDER_THREADS = bounded(
    env.int("SENDER_THREADS", default=8), name="SENDER_THREADS", low=1, high=64
)

Q_CLUSTER = {
    "name": "mail",
    "orm": "default",
    "workers": bounded(
        env.int("CLUSTER_WORKERS", default=2), name="CLUSTER_WORKERS", low=1, high=64
    ),
    "queue_limit": 4,
    "bulk": 1,
    "poll": 0.2,
    "timeout": 45,
    "retry": 300,
    "max_attempts": 5,
    "ack_failures": False,
    "recycle": 1000,
    "save_limit": -1,
    "catch_up": False,
    "sync": False,
    "guard_cycle": 0.5,
    "ALT_CLUSTERS": {"feedback": {"workers": 1}},
}
