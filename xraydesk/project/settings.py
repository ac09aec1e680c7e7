"""Django's settings, worked out from `xraydesk.project.config`."""

from __future__ import annotations

import os
from typing import Any

from xraydesk.project.config import config
from xraydesk.project.database import database_settings
from xraydesk.project.secrets import secret_key

_config = config()

SECRET_KEY = os.environ.get("XRAYDESK_SECRET_KEY") or secret_key(_config.home)
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "xraydesk.project.urls"
ASGI_APPLICATION = "xraydesk.project.asgi.application"
AUTH_USER_MODEL = "access.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "procrastinate.contrib.django",
    "xraydesk.access",
    "xraydesk.facts",
    "xraydesk.attention",
    "xraydesk.patients",
    "xraydesk.rooms",
    "xraydesk.staff",
    "xraydesk.trials",
    "xraydesk.orders",
    "xraydesk.scheduling",
    "xraydesk.transport",
    "xraydesk.contact",
    "xraydesk.safety",
    "xraydesk.imaging",
    "xraydesk.dose",
    "xraydesk.quality",
    "xraydesk.results",
    "xraydesk.billing",
    "xraydesk.links",
    "xraydesk.desk",
    "xraydesk.reactions",
]

MIDDLEWARE = [
    "xraydesk.project.metrics.Measured",
    "django.middleware.security.SecurityMiddleware",
    "xraydesk.desk.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "xraydesk.access.middleware.SignedIn",
    "django.contrib.messages.middleware.MessageMiddleware",
    "xraydesk.desk.middleware.OfAForm",
    "xraydesk.desk.middleware.NoNul",
    "django_htmx.middleware.HtmxMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "xraydesk.desk.context.desk",
            ],
        },
    }
]

DATABASES = {"default": database_settings(_config)}

PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"

XRAYDESK_SPOOL = _config.home.resolve() / "spool"
"""Where received objects are kept; the listener writes there, the worker reads."""

_secure = _config.behind_proxy or _config.tls_cert is not None
SESSION_COOKIE_NAME = "xraydesk_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _secure
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "xraydesk.desk.views.wrong.forbidden"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
CSRF_COOKIE_SECURE = _secure
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _config.behind_proxy else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
DATA_UPLOAD_MAX_NUMBER_FILES = 2_000
FILE_UPLOAD_HANDLERS = ["xraydesk.project.uploads.CappedUpload"]
FILE_UPLOAD_TEMP_DIR = str(_config.home.resolve() / "uploads")
"""Long bodies and files wait here, with the rest of the desk and for its user alone, until their form is done."""
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500

STATIC_URL = "/static/"
STORAGES = {"staticfiles": {"BACKEND": "xraydesk.project.static.NamedByContent"}}
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.AppDirectoriesFinder"]

PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]

LOGGING_CONFIG = None
SILENCED_SYSTEM_CHECKS = ["files.E001"]
"""That the folder of uploads is there: `web` makes it when it starts."""
