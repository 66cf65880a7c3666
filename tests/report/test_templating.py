"""The environment of all templates: what it escapes, what it refuses; and the layout."""

import json
import re
import subprocess
import sys
from importlib import resources

import jinja2
import pytest

from otoscope.report.templating import environment, paragraphs, quoted, render_page

HOSTILE = (
    "</script><script>window.hacked = 1</script>\"'><img src=x onerror='window.hacked=1'> {{ 7 * 7 }} {% raw %} <!--"
)
TEMPLATES = sorted(
    entry.name
    for entry in resources.files("otoscope.report").joinpath("templates").iterdir()
    if entry.name.endswith(".jinja")
)


def shown(source, **values):
    return environment().from_string(source).render(**values)


@pytest.mark.parametrize(
    "place", ["{{ x }}", '<p title="{{ x }}">', "{{ [x] | join }}", "{{ x ~ '' }}", "{{ '' + x }}"]
)
def test_every_string_is_escaped(place):
    text = shown(place, x=HOSTILE)
    before, after = place.split("{{")[0], place.rpartition("}}")[2]
    inside = text.removeprefix(before).removesuffix(after)
    assert not set(inside) & set("<>\"'")
    assert "{{ 7 * 7 }}" in inside


def test_macros_escape_and_are_not_escaped_again():
    text = shown('{% import "macros.html.jinja" as m %}{{ m.tree(x) }}', x={HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]})
    assert "&lt;script&gt;" in text
    assert "&amp;lt;" not in text
    assert set(re.findall(r"<(\w+)", text)) == {"dl", "div", "dt", "dd", "details", "summary"}


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\x7f", "\x9f", "\udcff"])
def test_what_cannot_be_shown_is_replaced(bad):
    assert shown("{{ x }}", x=f"a{bad}b") == "a\ufffdb"
    assert shown("{{ x }}", x="tab\tline\nend") == "tab\tline\nend"


def test_unknown_names_are_errors():
    for source in ("{{ nothing }}", "{{ x.nothing }}", "{% if nothing %}{% endif %}"):
        with pytest.raises(jinja2.UndefinedError):
            shown(source, x={})


def test_no_template_switches_escaping_off():
    for name in TEMPLATES:
        text = resources.files("otoscope.report").joinpath("templates", name).read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", text), name
        environment().get_template(name)


def test_paragraphs_and_addresses():
    assert paragraphs("one\n still one\n \ntwo\n\n\n") == ["one\n still one", "two"]
    assert paragraphs(None) == []
    assert quoted("a b/c#?.wav") == "a%20b/c%23%3F.wav"


def test_data_cannot_end_its_script():
    page = render_page("layout.html.jinja", styles=(), scripts=("theme.js",), data={"x": HOSTILE}, title=HOSTILE)
    body = re.search(r'id="data">(.*?)</script>', page).group(1)
    assert json.loads(body) == {"x": HOSTILE}
    assert page.count("<script") == 2
    assert page.startswith("<!doctype html>")


def test_the_package_imports_without_jinja2():
    code = "import sys, otoscope; sys.exit('jinja2' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
