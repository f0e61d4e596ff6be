"""What becomes the bytes of an event: strict JSON, overrides by dotted path, the envelope. Knows no event type."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

VERSION = "2024-01-01"
MAX_DEPTH = 64

_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{}]', re.DOTALL)
_SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])|[\ud800-\udfff]")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}:,]|[^\s"\[\]{}:,]+', re.DOTALL)


class BadJSON(ValueError):
    """A JSON text or value that is refused. `path` is like `items[2].name`, "" for the whole.

    `line` and `column` count from 1; None when there was no text, only a value.
    """

    def __init__(self, path: str, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.line = line
        self.column = column


class BadOverride(ValueError):
    """One override cannot be applied; `field` is its dotted path."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def envelope(
    event_id: str,
    type: str,
    created: datetime,
    data: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
) -> bytes:
    """The body of an event, byte for byte as it is stored, signed and sent. Raises BadOverride."""
    body = {
        "id": event_id,
        "type": type,
        "created": created.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z",
        "data": override(data, overrides) if overrides else data,
        "version": VERSION,
    }
    return to_json(body)


def override(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `data` with each dotted path set: `{"lead.score": 90}` sets data["lead"]["score"].

    Missing objects on the way are made; a path through anything else (a list, too) is a BadOverride.
    """
    result = dict(data)
    for path, value in overrides.items():
        *way, last = path.split(".")
        if not last or not all(way):
            raise BadOverride(path, "A path must be names joined by dots, such as company.size.")
        try:
            _check(path, ())
            _check(value, (*way, last))
        except BadJSON as error:
            raise BadOverride(path, error.message) from None
        _open(result, way, path)[last] = value
    return result


def _open(result: dict[str, Any], way: list[str], path: str) -> dict[str, Any]:
    """The object at the end of the way. Every object on it is copied: the caller's data stays as it was."""
    here = result
    for depth, name in enumerate(way, start=1):
        inner = here.get(name, {})
        if not isinstance(inner, Mapping):
            where = ".".join(way[:depth])
            raise BadOverride(
                path, f"{where} is {_kind(inner)}, not an object, so nothing can be set inside it."
            )
        here[name] = dict(inner)
        here = here[name]
    return here


def _kind(value: object) -> str:
    kinds = {str: "a string", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), "null")


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text by RFC 8259, without what a receiver would read differently or not at all.

    Raises BadJSON, with the place, for: not UTF-8, a BOM, any syntax error, trailing text, duplicate keys, NaN,
    infinities, numbers too large for a double, half surrogate pairs, NUL, nesting deeper than 64.
    """
    if isinstance(text, bytes):
        text = _decoded(text)
    if text.startswith("\ufeff"):
        raise BadJSON("", "The text begins with a byte order mark (BOM). Save it as UTF-8 without BOM.", 1, 1)
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
        if _SUSPICIOUS.search(text):
            check_json(value)
    except json.JSONDecodeError as error:
        raise BadJSON("", _plain(error.msg), error.lineno, error.colno) from None
    except BadJSON:
        _refuse(text)
        raise
    return value


def check_json(value: Any) -> None:
    """Refuse a value that `parse_json` would have refused as text. Raises BadJSON without line and column."""
    _check(value, ())


def _check(value: Any, start: tuple[str | int, ...]) -> None:
    waiting = [(start, value)]
    while waiting:
        path, item = waiting.pop()
        if len(path) + isinstance(item, dict | list) > MAX_DEPTH:
            raise BadJSON(_dotted(path), _TOO_DEEP)
        if isinstance(item, dict):
            # Keys are checked as texts; one of another type is refused like other values of that kind.
            for key in item:
                _check_leaf((*path, str(key)), key if isinstance(key, str) else object())
            waiting.extend(((*path, key), inner) for key, inner in reversed(item.items()))
        elif isinstance(item, list):
            waiting.extend(((*path, index), item[index]) for index in reversed(range(len(item))))
        else:
            _check_leaf(path, item)


def _check_leaf(path: tuple[str | int, ...], item: object) -> None:
    problem = _problem(item)
    if problem:
        raise BadJSON(_dotted(path), problem)


def _problem(item: object) -> str | None:
    """What is wrong with a single value or key, in words."""
    if item is None or isinstance(item, bool):
        return None
    if isinstance(item, str):
        found = _UNSTORABLE.search(item)
        return found and (_NUL if found[0] == "\0" else _SURROGATE)
    if isinstance(item, int | float):
        return _number_problem(item)
    return "Only strings, numbers, true, false, null, lists, and objects with string keys are JSON."


def _number_problem(item: float) -> str | None:
    try:
        return None if math.isfinite(float(item)) else _NOT_A_NUMBER
    except OverflowError:
        return _TOO_LARGE


_NOT_A_NUMBER = "NaN and Infinity are not JSON. Use null, or a string."
_TWICE = "This key appears twice; most receivers would silently keep only the last one."
_NUL = (
    "Contains NUL (\\u0000), which many receivers and databases refuse. Only an event's raw_body may hold it."
)
_SURROGATE = "Contains half a surrogate pair (\\ud800 to \\udfff), which has no UTF-8 form."
_TOO_LARGE = (
    "This number is too large: most receivers would read it as infinity. Use a smaller one, or a string."
)
_TOO_DEEP = f"Nested deeper than {MAX_DEPTH} levels."


def _integer(digits: str) -> int:
    if len(digits) > 300:
        _number(digits)
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadJSON("", _TOO_LARGE)
    return number


def _constant(name: str) -> None:
    raise BadJSON("", _NOT_A_NUMBER)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise BadJSON("", _TWICE)
    return result


_DECODER = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=_constant, object_pairs_hook=_object
)


def _refuse(text: str) -> None:
    """Raise BadJSON for the first token that the decoder's hooks refuse: they do not know its place."""
    path: list[Any] = []  # for each open bracket the key or index that is being read
    keys: list[set[str] | None] = []  # for each the keys so far, None for a list
    at_key = False
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "{[":
            keys.append(set() if word == "{" else None)
            path.append("" if word == "{" else 0)
            at_key = word == "{"
        elif word in "}]":
            keys.pop()
            path.pop()
        elif word == ",":
            at_key = keys[-1] is not None
            path[-1] = "" if at_key else path[-1] + 1
        elif word == ":":
            at_key = False
        else:
            problem, value = _word(word)
            seen = keys[-1] if keys else None
            if at_key and seen is not None:
                path[-1] = value
                problem = problem or (_TWICE if value in seen else None)
                seen.add(str(value))
            if problem:
                raise BadJSON(_dotted(tuple(path)), problem, *_place(text, token.start()))


def _word(word: str) -> tuple[str | None, object]:
    """A string or number of the text: its problem and its value."""
    if word[0] == '"':
        text = json.loads(word, strict=False)
        return _problem(text), text
    if word in ("true", "false", "null"):
        return None, None
    if word in ("NaN", "Infinity", "-Infinity"):
        return _NOT_A_NUMBER, None
    return (None if math.isfinite(float(word)) else _TOO_LARGE), None


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        raise BadJSON(
            "", f"Byte 0x{raw[error.start]:02x} is not UTF-8.", *_place(before, len(before))
        ) from None


_TRAILING = "Nothing follows this comma. Remove it."


def _plain(message: str) -> str:
    """The decoder's words, made plainer."""
    words = {
        "Expecting value": "A value is missing here.",
        "Extra data": "The JSON ends before this. Remove what follows.",
        "Expecting property name enclosed in double quotes": 'A name in double quotes is missing here, as in {"id": 1}.',
        "Expecting ',' delimiter": "A comma or a closing bracket is missing here.",
        "Illegal trailing comma before end of object": _TRAILING,  # since Python 3.13
        "Illegal trailing comma before end of array": _TRAILING,
        "Expecting ':' delimiter": "A colon is missing here.",
        "Invalid control character at": "This string contains a control character. Write it as \\n, \\t or \\u0001.",
        "Unterminated string starting at": "The string that begins here has no closing quote.",
    }
    return words.get(message, f"{message}.")


def _check_depth(text: str) -> None:
    """The decoder recurses; so nesting is counted before it sees the text."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _BRACKETS.finditer(text):
        if token[0] == '"':
            return  # a string without its closing quote: the decoder says so
        if token[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise BadJSON("", _TOO_DEEP, *_place(text, token.start()))
        elif token[0] in "]}":
            depth -= 1


def _place(text: str, position: int) -> tuple[int, int]:
    line_start = text.rfind("\n", 0, position) + 1
    return text.count("\n", 0, position) + 1, position - line_start + 1


def _dotted(path: tuple[str | int, ...]) -> str:
    """`items[2].name`; long keys cut, and lone surrogates escaped, so that the path itself can be shown."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part[:60]}" for part in path[:10]]
    text = "".join(parts).removeprefix(".") + ("…" if len(path) > 10 else "")
    return _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
