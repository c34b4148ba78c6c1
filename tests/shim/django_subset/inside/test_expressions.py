"""Utilities, requests and responses against what Django says to the same expressions."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import uuid

import pytest
from django import http
from django.core import paginator
from django.core.serializers.json import DjangoJSONEncoder
from django.http.request import MediaType, split_domain_port, validate_host
from django.test import RequestFactory, override_settings
from django.utils import (
    crypto,
    datastructures,
    dateformat,
    encoding,
    formats,
    functional,
    html,
    module_loading,
    safestring,
    text,
    timezone,
)
from django.utils import http as utils_http

from tests.shim.django_subset.inside.expression_table import CASES

NAMES = {
    **{name: getattr(http, name) for name in http.__all__},
    "DjangoJSONEncoder": DjangoJSONEncoder,
    "MediaType": MediaType,
    "Paginator": paginator.Paginator,
    "UTC": datetime.timezone.utc,
    "crypto": crypto,
    "dateformat": dateformat,
    "datastructures": datastructures,
    "datetime": datetime,
    "decimal": decimal,
    "dt": datetime.datetime,
    "encoding": encoding,
    "formats": formats,
    "functional": functional,
    "html": html,
    "http": utils_http,
    "io": io,
    "json": json,
    "module_loading": module_loading,
    "rf": RequestFactory(),
    "safestring": safestring,
    "split_domain_port": split_domain_port,
    "text": text,
    "timezone": timezone,
    "uuid": uuid,
    "validate_host": validate_host,
}


@pytest.mark.parametrize(("expression", "answer"), CASES)
@pytest.mark.filterwarnings("ignore:format_html:DeprecationWarning")
@override_settings(TIME_ZONE="Europe/Berlin", SECRET_KEY="x", ALLOWED_HOSTS=["*"])
def test_the_answer_is_the_one_that_django_gives(expression: str, answer: str) -> None:
    try:
        found = repr(eval(expression, dict(NAMES)))
    except Exception as error:  # noqa: BLE001 - which one is what is asked
        found = f"!{type(error).__name__}"
    assert found == answer
