"""The table behind ``unserved``: by module, the names that only the real Django has."""

from __future__ import annotations

__all__ = ["UNSERVED"]

_TABLE = {
    "": "forms",
    "conf": "Settings SettingsReference UserSettingsHolder locale",
    "contrib": (
        "admindocs contenttypes flatpages gis humanize postgres redirects sitemaps sites syndication"
    ),
    "contrib.admin": (
        "AllValuesFieldListFilter BooleanFieldListFilter ChoicesFieldListFilter DateFieldListFilter "
        "EmptyFieldListFilter FieldListFilter ListFilter ModelAdmin RelatedFieldListFilter "
        "RelatedOnlyFieldListFilter ShowFacets SimpleListFilter StackedInline TabularInline action actions "
        "apps autodiscover checks decorators display exceptions filters forms helpers models options "
        "register utils views widgets"
    ),
    "contrib.auth": (
        "REDIRECT_FIELD_NAME aauthenticate admin alogin alogout apps aupdate_session_auth_hash authenticate "
        "backends base_user checks decorators forms get_backends get_permission_codename handlers hashers "
        "load_backend login logout management migrations mixins password_validation tokens "
        "update_session_auth_hash urls user_login_failed validators views"
    ),
    "contrib.auth.models": "GroupManager PermissionManager update_last_login",
    "contrib.auth.signals": "user_login_failed",
    "contrib.messages": "apps test utils views",
    "contrib.messages.storage": "base cookie default_storage fallback session",
    "contrib.sessions": "apps base_session management migrations models serializers",
    "contrib.sessions.backends": "cache cached_db db file signed_cookies",
    "contrib.staticfiles": "apps checks management testing utils",
    "contrib.staticfiles.finders": (
        "AppDirectoriesFinder BaseFinder BaseStorageFinder DefaultStorageFinder FileSystemFinder get_finder "
        "get_finders"
    ),
    "contrib.staticfiles.handlers": "StaticFilesHandler StaticFilesHandlerMixin",
    "contrib.staticfiles.storage": (
        "ConfiguredStorage HashedFilesMixin ManifestFilesMixin ManifestStaticFilesStorage"
    ),
    "core": "checks mail servers signing validators",
    "core.cache": "BaseCache CacheKeyWarning InvalidCacheKey close_caches utils",
    "core.cache.backends": "base db dummy filebased memcached redis",
    "core.exceptions": (
        "EmptyResultSet FieldDoesNotExist FieldError FullResultSet NON_FIELD_ERRORS SuspiciousMultipartForm "
        "ValidationError"
    ),
    "core.files": "base images locks move storage temp uploadhandler utils",
    "core.files.uploadedfile": "TemporaryUploadedFile",
    "core.handlers": "wsgi",
    "core.management": "color find_commands sql templates utils",
    "core.management.base": (
        "AppCommand DjangoHelpFormatter LabelCommand handle_default_options no_translations"
    ),
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
        "Node NodeList Origin Variable autoreload backends base defaulttags loader_tags loaders response "
        "smartif utils"
    ),
    "template.context_processors": "debug i18n media static tz",
    "template.defaultfilters": (
        "cut dictsort dictsortreversed divisibleby escapeseq force_escape get_digit iriencode linenumbers "
        "phone2numeric_filter pprint random safeseq slice_filter time timesince_filter timeuntil_filter "
        "truncatechars_html truncatewords_html unordered_list urlize urlizetrunc wordcount"
    ),
    "template.library": "InclusionNode SimpleBlockNode SimpleNode TagHelperNode import_library parse_bits",
    "templatetags": "cache i18n l10n tz",
    "templatetags.static": "PrefixNode StaticNode do_static get_media_prefix get_static_prefix",
    "test": (
        "LiveServerTestCase html ignore_warnings override_system_checks runner selenium skipIfDBFeature "
        "skipUnlessAnyDBFeature skipUnlessDBFeature tag"
    ),
    "test.client": "RedirectCycleError",
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
        "require_jinja2 requires_tz_support setup_databases tag teardown_databases"
    ),
    "urls": (
        "LocalePrefixPattern clear_script_prefix clear_url_caches get_ns_resolver reverse_lazy translate_url"
    ),
    "urls.base": "clear_script_prefix clear_url_caches reverse_lazy",
    "urls.converters": "get_converter",
    "urls.resolvers": (
        "CheckURLMixin LocalePrefixPattern LocaleRegexDescriptor LocaleRegexRouteDescriptor get_ns_resolver"
    ),
    "utils": (
        "archive asyncio autoreload choices connection dateparse dates deconstruct decorators duration "
        "feedgenerator hashable inspect ipv6 itercompat lorem_ipsum numberformat regex_helper termcolors "
        "timesince tree xmlutils"
    ),
    "utils.cache": (
        "add_never_cache_headers get_cache_key get_conditional_response get_max_age has_vary_header "
        "learn_cache_key patch_cache_control patch_response_headers set_response_etag"
    ),
    "utils.crypto": "InvalidAlgorithm pbkdf2 salted_hmac",
    "utils.datastructures": "DictWrapper ImmutableList OrderedSet",
    "utils.deprecation": "RemovedAfterNextVersionWarning RenameMethodsBase warn_about_renamed_method",
    "utils.encoding": (
        "DEFAULT_LOCALE_ENCODING DjangoUnicodeDecodeError get_system_encoding is_protected_type punycode "
        "repercent_broken_unicode uri_to_iri"
    ),
    "utils.formats": (
        "get_format_lazy get_format_modules iter_format_modules localize_input reset_format_cache "
        "sanitize_separators sanitize_strftime_format"
    ),
    "utils.functional": (
        "Promise classproperty keep_lazy keep_lazy_text lazy lazystr new_method_proxy partition "
        "unpickle_lazyobject"
    ),
    "utils.html": (
        "CountsDict MLStripper Urlizer avoid_wrapping html_safe smart_urlquote strip_spaces_between_tags "
        "urlize urlizer"
    ),
    "utils.http": (
        "base36_to_int escape_leading_slashes int_to_base36 parse_etags parse_header_parameters quote_etag "
        "urlsafe_base64_decode urlsafe_base64_encode"
    ),
    "utils.log": "AdminEmailHandler CallbackFilter DEFAULT_LOGGING log_response",
    "utils.module_loading": "autodiscover_modules module_dir",
    "utils.safestring": "SafeText",
    "utils.text": (
        "StreamingBuffer TruncateCharsHTMLParser TruncateHTMLParser TruncateWordsHTMLParser "
        "add_truncation_text calculate_truncate_chars_length camel_case_to_spaces compress_sequence "
        "compress_string format_lazy get_text_list get_valid_filename phone2numeric trim_value"
    ),
    "utils.timezone": (
        "activate deactivate get_current_timezone_name get_default_timezone_name get_fixed_timezone "
        "override timedelta"
    ),
    "utils.translation": (
        "activate check_for_language deactivate deactivate_all get_language_bidi get_language_from_path "
        "get_language_from_request get_language_info get_supported_language_variant lazy_number "
        "ngettext_lazy npgettext npgettext_lazy override to_locale"
    ),
    "views": "i18n",
    "views.decorators": "cache clickjacking common debug gzip http vary",
    "views.generic": (
        "ArchiveIndexView CreateView DateDetailView DayArchiveView DeleteView DetailView FormView "
        "GenericViewError ListView MonthArchiveView TodayArchiveView UpdateView WeekArchiveView "
        "YearArchiveView dates detail edit list"
    ),
}

UNSERVED: dict[str, frozenset[str]] = {module: frozenset(names.split()) for module, names in _TABLE.items()}
