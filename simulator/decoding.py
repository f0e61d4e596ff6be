"""What a captured body looks like to people: decompressed within a bound, then as text. Pure; changes no capture."""

import codecs
import re
import zlib
from collections.abc import Sequence

CAP = 256 * 1024
_LAYERS = 3
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_DEFLATE = -15

Headers = Sequence[tuple[str, str]]


def decoded(body: bytes, headers: Headers, cap: int = CAP) -> tuple[bytes, str | None]:
    """The body without its content encodings, at most `cap` bytes, and a note if something went wrong.

    What cannot be decoded is returned as it came. A note is not a failure: the status alone decides.
    """
    encodings = _tokens(headers, "content-encoding")
    if not encodings or not body:
        return body[:cap], None
    if len(encodings) > _LAYERS:
        return body[
            :cap
        ], f"The body claims {len(encodings)} encodings, one inside another; it is shown as it came."
    notes: list[str] = []
    result = body
    for encoding in reversed(encodings):
        if encoding not in _WINDOWS:
            return body[:cap], f"The encoding {encoding!r} is unknown; the body is shown as it came."
        try:
            result, note = _inflate(result, encoding, cap)
        except zlib.error as error:
            return body[:cap], f"The body is not valid {encoding} ({_reason(error)}); it is shown as it came."
        notes += [note] if note else []
    return result, " ".join(dict.fromkeys(notes)) or None


def _inflate(body: bytes, encoding: str, cap: int) -> tuple[bytes, str | None]:
    windows = _WINDOWS[encoding]
    if encoding == "deflate" and not _has_zlib_head(body):
        windows = _RAW_DEFLATE  # what many servers mean by deflate
    result = b""
    while True:  # gzip may hold several members
        stream = zlib.decompressobj(windows)
        result += stream.decompress(body, cap + 1 - len(result))
        if len(result) > cap:
            return result[:cap], f"The decoded body is larger than {cap // 1024} KiB; the rest is not shown."
        if not stream.eof:
            return (
                result,
                f"Only a part of the {encoding} data came or was kept; what could be decoded is shown.",
            )
        body = stream.unused_data
        if windows != 31 or not body.startswith(b"\x1f\x8b"):
            return result, None


def _has_zlib_head(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _reason(error: zlib.error) -> str:
    return str(error).rpartition(": ")[2]


def as_text(body: bytes, headers: Headers, cap: int = CAP) -> tuple[str, str | None]:
    """The body as text for display, U+FFFD for bytes that are not text, and a note if something went wrong."""
    plain, note = decoded(body, headers, cap)
    notes = [note] if note else []
    charset = _charset(headers)
    codec = _codec(charset or "utf-8")
    if codec is None:
        notes.append(f"The charset {charset!r} is unknown; the body is read as UTF-8.")
        codec = "utf-8"
    text = plain.decode(codec, "replace").removeprefix("\ufeff")
    if "\ufffd" in text and "\ufffd".encode() not in plain:
        notes.append(f"Bytes that are not valid {codec.upper()} are shown as \ufffd.")
    return text, " ".join(notes) or None


_TEXT_CODECS = re.compile(
    r"ascii|utf-(8|16|32)(-\w+)?|iso8859-\d+|latin.*|cp\d+|koi8-\w|mac-\w+|gb\w+|big5\w*"
)
_EAST_ASIAN = re.compile(r"shift_jis\w*|euc_\w+|iso2022_\w+|hz|johab")


def _codec(charset: str) -> str | None:
    """Python's name of a charset, if it encodes text; `unicode_escape`, `idna` and the like do not."""
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    return name if _TEXT_CODECS.fullmatch(name) or _EAST_ASIAN.fullmatch(name) else None


def _charset(headers: Headers) -> str | None:
    for name, value in headers:
        if name.lower() == "content-type":
            found = re.search(r""";\s*charset\s*=\s*["']?([^\s;"']+)""", value, re.IGNORECASE)
            if found:
                return found[1]
    return None


def _tokens(headers: Headers, wanted: str) -> list[str]:
    values = ",".join(value for name, value in headers if name.lower() == wanted)
    tokens = [token.strip().lower() for token in values.split(",")]
    return [token for token in tokens if token not in ("", "identity", "none")]
