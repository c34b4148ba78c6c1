from django import template
from django.template.defaultfilters import stringfilter
from django.utils.html import format_html
from django.utils.safestring import mark_safe

register = template.Library()


@register.filter
@stringfilter
def initial(value):
    return value[:1].upper()


@register.filter(name="bold", is_safe=True)
def make_bold(value):
    return mark_safe(f"<b>{value}</b>")


@register.filter(needs_autoescape=True)
def is_escaping(value, autoescape=True):
    return f"{value}:{autoescape}"


def plus(value, amount=1):
    return value + amount


register.filter("plus", plus)


@register.simple_tag
def shout(text, times=1):
    return text.upper() * times + "<"


@register.simple_tag(takes_context=True)
def who(context, prefix=""):
    return f"{prefix}{context['request'].path}" if "request" in context else prefix


@register.simple_tag(takes_context=True)
def remember(context, value):
    context["x"] = value
    return ""


@register.simple_tag(name="tagged")
def html_tag(name):
    return format_html("<{}>", name)


@register.inclusion_tag("rooms/card.html")
def room_card(name):
    return {"name": name}


@register.inclusion_tag("rooms/card.html", takes_context=True)
def context_card(context):
    return {"name": context["title"], "site_name": context["site_name"]}
