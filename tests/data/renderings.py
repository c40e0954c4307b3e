"""Names that try to break a rendering, and what a sound one is."""

import html.parser
import re

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    r"a_b^c~d\e{f}$g%h#i&j",
    "new\nline\tand\x00control",
    "\ud800 lone surrogate",
    "\u202e right to left",
    "emoji 😀 and é",
    "k" * 10_000,
    ("a", ("b", 1.5)),
    -3,
    "",
    "'quotes' \"double\" `back`",
]

DRAWN = ["svg", "title", "desc", "rect", "g", "path", "circle", "polygon", "text", "line"]


class Strict(html.parser.HTMLParser):
    """Collects tags and checks that they close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_html_is_sound(text):
    parser = Strict()
    parser.feed(text)
    assert parser.open == []
    assert parser.seen <= {"table", "caption", "tr", "th", "td", "br", "div", *DRAWN}
    text.encode("utf-8")
    assert "\x00" not in text


def assert_latex_is_sound(text):
    """Balanced, ASCII, and no special character that is not escaped."""
    assert text.isascii()
    assert text.startswith("$$")
    assert text.endswith("$$")
    body = text[2:-2]
    depth = 0
    for token in re.findall(r"\\[A-Za-z]+|\\.|.", body, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(token, 0)
        assert depth >= 0
        assert token not in {"#", "%", "$", "~"}
    assert depth == 0
    assert re.findall(r"\\begin\{(\w+)\}", body)[0] == re.findall(r"\\end\{(\w+)\}", body)[-1]
    assert len(re.findall(r"\\begin", body)) == len(re.findall(r"\\end\{", body))
