"""The table behind ``unserved``: by module, the names that only the real Django has."""

from __future__ import annotations

__all__ = ["UNSERVED"]

_TABLE = {
    "": "forms",
    "conf": "Settings SettingsReference UserSettingsHolder locale",
    "contrib": "admindocs contenttypes flatpages gis humanize postgres redirects sitemaps sites syndication",
    "contrib.admin": (
        "AllValuesFieldListFilter BooleanFieldListFilter ChoicesFieldListFilter DateFieldListFilter "
        "EmptyFieldListFilter FieldListFilter ListFilter RelatedFieldListFilter "
        "RelatedOnlyFieldListFilter ShowFacets SimpleListFilter actions apps checks exceptions filters "
        "forms helpers models utils views widgets"
    ),
    "contrib.auth": (
        "admin apps aupdate_session_auth_hash base_user checks forms get_permission_codename handlers "
        "hashers management migrations password_validation tokens update_session_auth_hash urls "
        "validators views"
    ),
    "contrib.auth.backends": (
        "AllowAllUsersModelBackend AllowAllUsersRemoteUserBackend ModelBackend RemoteUserBackend"
    ),
    "contrib.auth.decorators": "login_not_required permission_required",
    "contrib.auth.mixins": "PermissionRequiredMixin UserPassesTestMixin",
    "contrib.auth.models": "GroupManager PermissionManager update_last_login",
    "contrib.messages": "apps test utils views",
    "contrib.messages.storage": "base cookie default_storage fallback session",
    "contrib.sessions": "apps base_session management migrations models serializers",
    "contrib.sessions.backends": "cache cached_db db file signed_cookies",
    "contrib.staticfiles": "apps checks management testing utils",
    "contrib.staticfiles.finders": (
        "AppDirectoriesFinder BaseFinder BaseStorageFinder DefaultStorageFinder FileSystemFinder "
        "get_finder get_finders"
    ),
    "contrib.staticfiles.handlers": "StaticFilesHandler StaticFilesHandlerMixin",
    "contrib.staticfiles.storage": (
        "ConfiguredStorage HashedFilesMixin ManifestFilesMixin ManifestStaticFilesStorage"
    ),
    "core": "checks mail servers signing validators",
    "core.cache": "CacheKeyWarning InvalidCacheKey close_caches utils",
    "core.cache.backends": "db filebased memcached redis",
    "core.cache.backends.base": "CacheKeyWarning InvalidCacheKey",
    "core.exceptions": "EmptyResultSet FieldDoesNotExist FieldError FullResultSet SuspiciousMultipartForm",
    "core.files": "base images locks move storage temp uploadhandler utils",
    "core.files.uploadedfile": "TemporaryUploadedFile",
    "core.management": "find_commands sql templates utils",
    "core.management.base": "AppCommand DjangoHelpFormatter handle_default_options no_translations",
    "core.paginator": "UnorderedObjectListWarning",
    "core.serializers": (
        "BadSerializer base deserialize get_deserializer get_public_serializer_formats get_serializer "
        "get_serializer_formats jsonl python pyyaml register_serializer serialize sort_dependencies "
        "unregister_serializer xml_serializer"
    ),
    "core.serializers.json": "Deserializer Serializer",
    "db": "DJANGO_VERSION_PICKLE_KEY backends migrations router",
    "db.models": (
        "BLANK_CHOICE_DASH BaseConstraint CompositePrimaryKey DEFERRED Deferrable Empty ExpressionList "
        "ForeignObject ForeignObjectRel IPAddressField Lookup ManyToManyRel ManyToOneRel NOT_PROVIDED "
        "NullBooleanField OneToOneRel OrderWrt ProtectedError RestrictedError Transform WindowFrame "
        "WindowFrameExclusion aggregates aprefetch_related_objects base constants constraints expressions "
        "functions indexes lookups manager options prefetch_related_objects query query_utils sql utils"
    ),
    "db.transaction": (
        "Atomic get_autocommit get_connection get_rollback savepoint savepoint_commit savepoint_rollback "
        "set_autocommit set_rollback"
    ),
    "http.multipartparser": (
        "BoundaryIter ChunkIter InputStreamExhausted InterBoundaryIter LazyStream MultiPartParser Parser "
        "exhaust parse_boundary_stream"
    ),
    "http.request": "bytes_to_text",
    "middleware": "cache gzip http locale",
    "middleware.common": "BrokenLinkEmailsMiddleware",
    "middleware.csrf": "InvalidTokenFormat RejectRequest",
    "template": (
        "Node NodeList Origin Variable autoreload backends base defaulttags loader_tags loaders smartif utils"
    ),
    "template.defaultfilters": (
        "get_digit iriencode linenumbers phone2numeric_filter truncatechars_html truncatewords_html "
        "unordered_list urlize urlizetrunc"
    ),
    "template.library": "InclusionNode SimpleBlockNode SimpleNode TagHelperNode import_library parse_bits",
    "templatetags": "cache i18n l10n tz",
    "templatetags.static": "PrefixNode StaticNode do_static get_media_prefix get_static_prefix",
    "test": (
        "LiveServerTestCase html ignore_warnings override_system_checks runner selenium skipIfDBFeature "
        "skipUnlessAnyDBFeature skipUnlessDBFeature"
    ),
    "test.testcases": (
        "CheckCondition DatabaseOperationForbidden FSFilesHandler LiveServerTestCase LiveServerThread "
        "QuietWSGIRequestHandler SerializeMixin TestData assert_and_parse_html "
        "connections_support_savepoints connections_support_transactions is_pickable skipIfDBFeature "
        "skipUnlessAnyDBFeature skipUnlessDBFeature to_list"
    ),
    "test.utils": (
        "Approximate CaptureQueriesContext ContextList LoggingCaptureMixin NullTimeKeeper "
        "TestContextDecorator TimeKeeper captured_output captured_stderr captured_stdin captured_stdout "
        "compare_xml dependency_ordered extend_sys_path freeze_time garbage_collect get_runner "
        "get_unique_databases_and_mirrors ignore_warnings instrumented_test_render isolate_apps "
        "isolate_lru_cache iter_test_cases override_script_prefix override_system_checks register_lookup "
        "require_jinja2 requires_tz_support setup_databases teardown_databases"
    ),
    "urls": "LocalePrefixPattern translate_url",
    "urls.resolvers": "CheckURLMixin LocalePrefixPattern LocaleRegexDescriptor LocaleRegexRouteDescriptor",
    "utils": (
        "archive autoreload choices connection dates deconstruct duration feedgenerator hashable inspect "
        "ipv6 itercompat lorem_ipsum numberformat regex_helper termcolors tree xmlutils"
    ),
    "utils.cache": (
        "get_cache_key get_conditional_response get_max_age has_vary_header learn_cache_key "
        "patch_response_headers set_response_etag"
    ),
    "utils.crypto": "pbkdf2",
    "utils.datastructures": "DictWrapper ImmutableList",
    "utils.decorators": (
        "classonlymethod decorator_from_middleware decorator_from_middleware_with_args "
        "make_middleware_decorator"
    ),
    "utils.deprecation": "RemovedAfterNextVersionWarning RenameMethodsBase warn_about_renamed_method",
    "utils.encoding": "get_system_encoding repercent_broken_unicode",
    "utils.formats": (
        "get_format_lazy get_format_modules iter_format_modules localize_input reset_format_cache "
        "sanitize_separators sanitize_strftime_format"
    ),
    "utils.functional": "new_method_proxy unpickle_lazyobject",
    "utils.html": "CountsDict MLStripper Urlizer avoid_wrapping smart_urlquote urlize urlizer",
    "utils.http": "escape_leading_slashes parse_etags parse_header_parameters",
    "utils.log": "AdminEmailHandler DEFAULT_LOGGING log_response",
    "utils.module_loading": "autodiscover_modules module_dir",
    "utils.text": (
        "StreamingBuffer TruncateCharsHTMLParser TruncateHTMLParser TruncateWordsHTMLParser "
        "add_truncation_text calculate_truncate_chars_length compress_sequence compress_string "
        "phone2numeric trim_value"
    ),
    "utils.translation": (
        "get_language_from_path get_language_info get_supported_language_variant lazy_number"
    ),
    "views": "i18n",
    "views.decorators": "debug gzip",
    "views.decorators.cache": "cache_page",
    "views.decorators.http": "condition etag last_modified",
    "views.generic": (
        "ArchiveIndexView CreateView DateDetailView DayArchiveView DeleteView DetailView FormView "
        "GenericViewError ListView MonthArchiveView TodayArchiveView UpdateView WeekArchiveView "
        "YearArchiveView dates detail edit list"
    ),
}

UNSERVED: dict[str, frozenset[str]] = {module: frozenset(names.split()) for module, names in _TABLE.items()}
