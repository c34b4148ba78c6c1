from django.urls import include, path, re_path, register_converter

from tests.shim.django_subset.inside.urls_inner import v


class Year:
    regex = "[0-9]{4}"

    def to_python(self, s):
        if s == "0000":
            raise ValueError
        return int(s)

    def to_url(self, x):
        return f"{x:04d}"


register_converter(Year, "yyyy")


class Number(Year):
    def to_url(self, x):
        return x


register_converter(Number, "number")


class CBV:
    def __call__(self, r):
        pass


cbv = CBV()
plain = [path("p/", v, name="plain"), path("p/<str:s>/", v, name="plain")]
urlpatterns = [
    path("", v, name="home"),
    path("a b/", v, name="space"),
    path("str/<str:s>/", v, name="str"),
    path("s/<slug:s>", v, name="slug"),
    path("u/<uuid:u>/", v, name="uuid"),
    path("path/<path:p>/end", v, name="path"),
    path("y/<yyyy:y>/", v, name="year"),
    path("number/<number:y>/", v, name="number"),
    path("two/<int:a>/<b>/", v, name="two"),
    path("def/<int:a>/", v, {"b": 5}, name="def"),
    path("def/", v, {"a": 1, "b": 5}, name="def"),
    re_path(r"^re/(?P<year>[0-9]{4})/(?:(?P<month>\d\d)/)?$", v, name="re"),
    re_path(r"^pos/(\d+)/(\w+)/$", v, name="pos"),
    re_path(r"^opt/(?P<x>a)?$", v, name="opt"),
    re_path(r"^alt/(?:foo|bar)/$", v, name="alt"),
    re_path(r"^cls/[abc]\d\w\s./(?P<q>.+)$", v, name="cls"),
    re_path(r"^nest/((?P<inner>\d)x)/$", v, name="nest"),
    re_path(r"^q/\?\./$", v, name="esc"),
    re_path(r"ws/chat/(?P<room_name>\w+)/$", v, name="ws"),
    re_path(r"^rep/a{2}b+c*d?/$", v, name="rep"),
    re_path(r"^mix/(?P<n>\d+)/(\w+)/$", v, name="mix"),
    re_path(r"^back/(?P<w>\w)(?P=w)/$", v, name="back"),
    path("polls/", include("tests.shim.django_subset.inside.urls_inner")),
    path("other/<int:tenant>/", include("tests.shim.django_subset.inside.urls_inner", namespace="other")),
    path("tup/", include(([path("x/", v, name="x")], "tup"))),
    path(
        "tup2/",
        include(
            (
                [
                    path("x/", v, name="x"),
                    path("deep/", include("tests.shim.django_subset.inside.urls_inner", namespace="deep")),
                ],
                "tup",
            ),
            namespace="t2",
        ),
    ),
    path("inc/", include(plain)),
    re_path(r"^reinc/(?P<k>\w+)/", include(plain)),
    path("kw/", include([path("<int:n>/", v, name="kw")]), {"extra": 1}),
    path("cbv/", cbv, name="cbv"),
    path("dup/<int:a>/", v, name="dup"),
    path("dup/<str:a>/x/", v, name="dup"),
    path("view/", v),
]
