"""Bytes as people read them: pretty, raw or hex, never changed, never trusted. Knows no row."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name

from simulator.decoding import CAP, Headers, as_text

PREVIEW = 8 * 1024  # characters that the detail shows at once; all of it comes on demand
COLOURED = 64 * 1024  # beyond this, highlighting costs more than it shows
VIEWS = ("pretty", "raw", "hex")

INDENTED = 1024 * 1024  # characters of indented JSON; a hostile one would become eighty times as long

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{},:]|[^\s"\[\]{},:]+|\s+', re.DOTALL)
_FORMATTER = HtmlFormatter(nowrap=True)
_HEX_PREVIEW = 2 * 1024


@dataclass(frozen=True, slots=True)
class Shown:
    """`html` is escaped. `cut` is how many bytes are not shown; `note` says what kept it from being read."""

    html: SafeString
    view: str
    views: tuple[str, ...]
    cut: int = 0
    note: str | None = None


def show(raw: bytes, view: str = "", *, headers: Headers = (), whole: bool = False) -> Shown:
    """`view` is one of VIEWS, "" for the one that suits the bytes. Hex shows them as received, even if compressed."""
    text, note = as_text(raw, headers, max(CAP, len(raw)))
    is_json = text.lstrip()[:1] in ("{", "[")
    views = VIEWS if is_json else ("raw", "hex")
    if view not in views:
        view = "hex" if "\0" in text or "\ufffd" in text else views[0]
    if view == "hex":
        part = raw if whole else raw[:_HEX_PREVIEW]
        return Shown(mark_safe(escape(hexdump(part))), view, views, len(raw) - len(part), note)
    shown = text if whole else text[:PREVIEW]
    html = coloured(_readable(indented(shown) if view == "pretty" else shown), is_json)
    return Shown(html, view, views, len(text[len(shown) :].encode(errors="replace")), note)


def copied(raw: bytes, view: str, *, headers: Headers = ()) -> str:
    """The whole body in that view, as plain text: not highlighted, not cut."""
    if view == "hex":
        return hexdump(raw)
    text, _ = as_text(raw, headers, max(CAP, len(raw)))
    return indented(text) if view == "pretty" else text


def _readable(text: str) -> str:
    """Makes control and direction characters visible, so that one sees all that is there."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        _mark(letter) if unicodedata.category(letter) in ("Cc", "Cf") else letter for letter in text
    )


def _mark(letter: str) -> str:
    if letter in "\n\t":
        return letter
    code = ord(letter)
    return chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"


def indented(text: str) -> str:
    """JSON with line breaks, each token byte for byte as received: 1.0 stays 1.0, a repeated key stays repeated.

    Works on cut text as well, and leaves other text readable. What comes after INDENTED is left as it is.
    """
    out: list[str] = []
    depth = size = 0
    found = [each for each in _TOKEN.finditer(text) if not each[0].isspace()]
    tokens = [each[0] for each in found]
    for index, token in enumerate(tokens):
        if size > INDENTED:
            out.append(text[found[index].start() :])
            break
        following = tokens[index + 1] if index + 1 < len(tokens) else ""
        if token in "{[":
            depth += 1
            out.append(token if following in ("}", "]") else token + "\n" + "  " * min(depth, 40))
        elif token in "}]":
            depth = max(0, depth - 1)
            empty = index and tokens[index - 1] in "{["
            out.append(token if empty else "\n" + "  " * min(depth, 40) + token)
        elif token == ",":
            out.append(",\n" + "  " * min(depth, 40))
        else:
            out.append(": " if token == ":" else token)
        size += len(out[-1])
    return "".join(out)


def coloured(text: str, is_json: bool) -> SafeString:
    if not is_json or len(text) > COLOURED:
        return mark_safe(escape(text))
    return code(text, "json")


def code(text: str, language: str) -> SafeString:
    """Highlighted by classes (static/css/code.css), escaped by Pygments."""
    return mark_safe(highlight(text, _lexer(language), _FORMATTER).rstrip("\n"))


@cache
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False)


def hexdump(raw: bytes) -> str:
    """Offset, eight bytes, their ASCII: more would not fit in a pane or on a phone."""
    lines = []
    for start in range(0, len(raw), 8):
        chunk = raw[start : start + 8]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in chunk)
        lines.append(f"{start:08x}  {chunk.hex(' '):<23}  {letters}")
    return "\n".join(lines)
