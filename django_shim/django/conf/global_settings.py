"""The value of every setting that a project leaves out and that the subset, or a view, may read."""

from __future__ import annotations

from typing import Any

__all__: list[str] = []

DEBUG = False
ADMINS: list[Any] = []
MANAGERS: list[Any] = []
ALLOWED_HOSTS: list[str] = []
INTERNAL_IPS: list[str] = []
SECRET_KEY = ""
SECRET_KEY_FALLBACKS: list[str] = []
DEFAULT_CHARSET = "utf-8"
ROOT_URLCONF: str | None = None
WSGI_APPLICATION: str | None = None
ASGI_APPLICATION: str | None = None
FORCE_SCRIPT_NAME: str | None = None
INSTALLED_APPS: list[str] = []
MIDDLEWARE: list[str] = []
TEMPLATES: list[dict[str, Any]] = []
DATABASES: dict[str, Any] = {}
DATABASE_ROUTERS: list[Any] = []
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DEFAULT_EXCEPTION_REPORTER = "django.views.debug.ExceptionReporter"
FIXTURE_DIRS: list[str] = []
TEST_RUNNER = "django.test.runner.DiscoverRunner"
CACHES: dict[str, Any] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING: dict[str, Any] = {}
SILENCED_SYSTEM_CHECKS: list[str] = []

# Time, language, formats
TIME_ZONE = "America/Chicago"
USE_TZ = True
USE_I18N = True
USE_THOUSAND_SEPARATOR = False
DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 0
FIRST_DAY_OF_WEEK = 0
LANGUAGE_CODE = "en-us"
LANGUAGES: list[tuple[str, str]] = [("en", "English")]
LANGUAGE_COOKIE_NAME = "django_language"
LOCALE_PATHS: list[str] = []
DATE_FORMAT = "N j, Y"
DATETIME_FORMAT = "N j, Y, P"
TIME_FORMAT = "P"
YEAR_MONTH_FORMAT = "F Y"
MONTH_DAY_FORMAT = "F j"
SHORT_DATE_FORMAT = "m/d/Y"
SHORT_DATETIME_FORMAT = "m/d/Y P"

# Requests and responses
APPEND_SLASH = True
PREPEND_WWW = False
DISALLOWED_USER_AGENTS: list[Any] = []
IGNORABLE_404_URLS: list[Any] = []
USE_X_FORWARDED_HOST = False
USE_X_FORWARDED_PORT = False
SECURE_PROXY_SSL_HEADER: tuple[str, str] | None = None
DATA_UPLOAD_MAX_MEMORY_SIZE = 2621440
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 100
FILE_UPLOAD_MAX_MEMORY_SIZE = 2621440
FILE_UPLOAD_PERMISSIONS = 0o644

# Files
STATIC_ROOT: Any = None
STATIC_URL: str | None = None
STATICFILES_DIRS: list[Any] = []
STATICFILES_STORAGE = "django.contrib.staticfiles.storage.StaticFilesStorage"
MEDIA_ROOT: Any = ""
MEDIA_URL = ""

# Security
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_INCLUDE_SUBDOMAINS = False
SECURE_HSTS_PRELOAD = False
SECURE_HSTS_SECONDS = 0
SECURE_REDIRECT_EXEMPT: list[str] = []
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_HOST: str | None = None
SECURE_SSL_REDIRECT = False
CSRF_COOKIE_AGE = 60 * 60 * 24 * 7 * 52
CSRF_COOKIE_DOMAIN: str | None = None
CSRF_COOKIE_HTTPONLY = False
CSRF_COOKIE_NAME = "csrftoken"
CSRF_COOKIE_PATH = "/"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = False
CSRF_FAILURE_VIEW = "django.views.csrf.csrf_failure"
CSRF_HEADER_NAME = "HTTP_X_CSRFTOKEN"
CSRF_TRUSTED_ORIGINS: list[str] = []
CSRF_USE_SESSIONS = False

# Sessions and users
SESSION_CACHE_ALIAS = "default"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 7 * 2
SESSION_COOKIE_DOMAIN: str | None = None
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME = "sessionid"
SESSION_COOKIE_PATH = "/"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = False
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_EXPIRE_AT_BROWSER_CLOSE = False
SESSION_SAVE_EVERY_REQUEST = False
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS: list[Any] = []
AUTH_USER_MODEL = "auth.User"
LOGIN_REDIRECT_URL = "/accounts/profile/"
LOGIN_URL = "/accounts/login/"
LOGOUT_REDIRECT_URL: str | None = None
MESSAGE_LEVEL = 20
MESSAGE_TAGS: dict[int, str] = {}
MESSAGE_STORAGE = "django.contrib.messages.storage.fallback.FallbackStorage"

# Mail: read by projects, used by nothing here
DEFAULT_FROM_EMAIL = "webmaster@localhost"
SERVER_EMAIL = "root@localhost"
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = "localhost"
EMAIL_PORT = 25
EMAIL_HOST_PASSWORD = ""
EMAIL_HOST_USER = ""
EMAIL_SSL_CERTFILE: str | None = None
EMAIL_SSL_KEYFILE: str | None = None
EMAIL_SUBJECT_PREFIX = "[Django] "
EMAIL_TIMEOUT: int | None = None
EMAIL_USE_LOCALTIME = False
EMAIL_USE_SSL = False
EMAIL_USE_TLS = False

# The rest: read by projects and by libraries, used by nothing here
ABSOLUTE_URL_OVERRIDES: dict[str, Any] = {}
CACHE_MIDDLEWARE_ALIAS = "default"
CACHE_MIDDLEWARE_KEY_PREFIX = ""
CACHE_MIDDLEWARE_SECONDS = 600
DEBUG_PROPAGATE_EXCEPTIONS = False
DEFAULT_EXCEPTION_REPORTER_FILTER = "django.views.debug.SafeExceptionReporterFilter"
DEFAULT_INDEX_TABLESPACE = ""
DEFAULT_TABLESPACE = ""
FILE_UPLOAD_DIRECTORY_PERMISSIONS: int | None = None
FILE_UPLOAD_HANDLERS = [
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
FILE_UPLOAD_TEMP_DIR: str | None = None
FORMAT_MODULE_PATH: str | None = None
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"
LANGUAGES_BIDI = ["he", "ar", "ar-dz", "ckb", "fa", "ug", "ur"]
LANGUAGE_COOKIE_AGE: int | None = None
LANGUAGE_COOKIE_DOMAIN: str | None = None
LANGUAGE_COOKIE_HTTPONLY = False
LANGUAGE_COOKIE_PATH = "/"
LANGUAGE_COOKIE_SAMESITE: str | None = None
LANGUAGE_COOKIE_SECURE = False
MIGRATION_MODULES: dict[str, str] = {}
PASSWORD_HASHERS: list[str] = []
PASSWORD_RESET_TIMEOUT = 60 * 60 * 24 * 3
SESSION_FILE_PATH: str | None = None
SIGNING_BACKEND = "django.core.signing.TimestampSigner"
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
TEST_NON_SERIALIZED_APPS: list[str] = []
