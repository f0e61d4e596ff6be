"""Signatures: bytes, secrets and a profile in, strings and verdicts out. Knows no Django, no clock, no network."""

import base64
import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .profiles import DEFAULT, PLACEHOLDER, PRESETS, BadProfile, Profile, as_dict, profile_from

__all__ = [
    "DEFAULT",
    "PRESETS",
    "REASONS",
    "TOLERANCE",
    "BadProfile",
    "BadSecret",
    "Profile",
    "Signer",
    "Verdict",
    "as_dict",
    "check_secret",
    "new_secret",
    "profile_from",
    "signer",
    "standard_spelling",
    "verify",
]

SECRET_PREFIX = "whsec_"
MAX_SECRET_BYTES = 4096
TOLERANCE = 300

Signer = Callable[[int, str, bytes], list[tuple[str, str]]]
_ID = re.compile(r"[0-9A-Za-z_-]{1,200}")
_SECONDS = re.compile(r"[0-9]{1,15}")


class BadSecret(ValueError):
    """The secret cannot be a key under its profile; `message` states the rule."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def new_secret(profile: Profile = DEFAULT) -> str:
    """A fresh secret of 32 random bytes, in the spelling that the profile's receivers can read."""
    raw = randomness.token_bytes(32)
    if profile.key == "utf8":
        return SECRET_PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")
    # Standard Webhooks libraries decode it, and know only the standard alphabet with its padding.
    return SECRET_PREFIX + base64.b64encode(raw).decode()


def standard_spelling(secret: str) -> str:
    """The same key in standard base64 with padding, as the libraries read it. Raises BadSecret when it is not base64."""
    prefix = SECRET_PREFIX if secret.startswith(SECRET_PREFIX) else ""
    return prefix + base64.b64encode(_decoded(secret.removeprefix(prefix))).decode()


def check_secret(secret: object, profile: Profile = DEFAULT) -> None:
    """Raise BadSecret when the secret cannot be a key under this profile."""
    if not isinstance(secret, str):
        raise BadSecret("The secret must be a string.")
    _key(secret, profile)


def _key(secret: str, profile: Profile) -> bytes:
    try:
        raw = secret.encode()
    except UnicodeEncodeError:
        raise BadSecret("The secret contains half a surrogate pair, which has no UTF-8 form.") from None
    if not 1 <= len(raw) <= MAX_SECRET_BYTES or b"\0" in raw:
        raise BadSecret(f"The secret must be 1 to {MAX_SECRET_BYTES} bytes of UTF-8 without NUL.")
    return raw if profile.key == "utf8" else _decoded(secret.removeprefix(SECRET_PREFIX))


def _decoded(text: str) -> bytes:
    """The key bytes behind `whsec_`; either base64 alphabet, padding optional: each has only one meaning."""
    rule = "With this profile the secret must be whsec_ followed by base64 of 24 to 64 bytes."
    body = text.rstrip("=")
    padding = "=" * (-len(body) % 4)
    if text not in (body, body + padding) or not re.fullmatch(r"[0-9A-Za-z+/]+|[0-9A-Za-z_-]+", body):
        raise BadSecret(rule)
    try:
        raw = base64.urlsafe_b64decode(body.replace("+", "-").replace("/", "_") + padding)
    except ValueError:
        raise BadSecret(rule) from None
    if not 24 <= len(raw) <= 64:
        raise BadSecret(f"{rule} This one decodes to {len(raw)} bytes.")
    return raw


def signer(profile: Profile, secrets: Sequence[str]) -> Signer:
    """Prepare a function (timestamp, event id, body) → headers, for many attempts with the same secrets.

    `secrets` newest first; `timestamp` in unix seconds. Raises BadSecret, and ValueError without any secret.
    """
    if not secrets:
        raise ValueError("A signature needs at least one secret.")
    used = secrets if profile.separator else secrets[:1]
    keyed = [hmac.new(_key(secret, profile), digestmod=profile.digest) for secret in used]
    template, encode = _template(profile.content), _encoder(profile)
    separator, opening, id_header = profile.separator, profile.timestamp_prefix, profile.id_header
    signs_id = id_header is not None or "{id}" in profile.content

    def sign(timestamp: int, event_id: str, body: bytes) -> list[tuple[str, str]]:
        if signs_id and not _ID.fullmatch(event_id):
            # A dot in the id could shift the border between what is id and what is timestamp.
            raise ValueError(f"Not an event id: {event_id!r}")
        content = template % {b"timestamp": b"%d" % timestamp, b"id": event_id.encode(), b"body": body}
        signatures = [encode(_digest(one, content)) for one in keyed]
        if opening is not None:
            signatures.insert(0, f"{opening}{timestamp}")
        headers = [(id_header, event_id)] if id_header else []
        if profile.timestamp_header:
            headers.append((profile.timestamp_header, str(timestamp)))
        headers.append((profile.signature_header, separator.join(signatures)))
        return headers

    return sign


def _digest(keyed: hmac.HMAC, content: bytes) -> bytes:
    """With the key already hashed in, which is a third of the work of `hmac.digest`."""
    one = keyed.copy()
    one.update(content)
    return one.digest()


def _template(content: str) -> bytes:
    """The content as a bytes format, so that one operation builds the signed bytes."""
    return PLACEHOLDER.sub(r"%(\1)b", content.replace("%", "%%")).encode()


def _encoder(profile: Profile) -> Callable[[bytes], str]:
    prefix = profile.prefix
    if profile.encoding == "hex":
        return lambda digest: prefix + digest.hex()
    return lambda digest: prefix + base64.b64encode(digest).decode()


REASONS = {
    "missing_signature": "There is no signature. It arrives in the header {header}.",
    "malformed_signature": "The signature does not have the form {shape}.",
    "missing_timestamp": "There is no timestamp, and it is part of what was signed. It arrives in the header {clock}.",
    "malformed_timestamp": "The timestamp is not a whole number of seconds since 1970, such as 1738896900.",
    "missing_id": "There is no event id, and it is part of what was signed. It arrives in the header {id_header}.",
    "malformed_id": "The event id may only have letters, digits, _ and -: a dot would make the signed bytes ambiguous.",
    "signature_mismatch": "The signature was not made with this secret, this timestamp and exactly these bytes.",
    "timestamp_too_old": "The signature is right but {age} s old, and at most {tolerance:g} s are accepted, so that "
    "nobody can play back a recording. A real retry has a new timestamp and a new signature.",
    "timestamp_in_future": "The signature is right but its timestamp is {ahead} s ahead of this clock, and at most "
    "{tolerance:g} s are accepted. Compare the two clocks.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. `reason` is None when valid, else a key of REASONS; `message` says it in words.

    `expected` is the signature that these bytes should carry (by the newest secret), `signed_content` the bytes it
    is made of; both None while a part of them is unreadable. `age_seconds` is negative for a time still to come,
    None when no readable timestamp was signed.
    """

    valid: bool
    reason: str | None
    message: str
    expected: str | None
    signed_content: bytes | None
    age_seconds: int | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: with `signed_content` as text, U+FFFD for bytes that are not UTF-8."""
        content = self.signed_content
        text = None if content is None else content.decode(errors="replace")
        return asdict(self) | {"signed_content": text}


def verify(
    profile: Profile,
    secrets: Sequence[str],
    *,
    signature: str | None,
    timestamp: str | int | None = None,
    event_id: str = "",
    body: bytes,
    now: float,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Judge the headers of a request as its receiver should; whatever a sender wrote is a verdict, never an error.

    `signature` is the whole header; any of its signatures by any of the secrets counts. Times are unix seconds, an
    age of exactly `tolerance` is accepted. The signature is judged before the age, because the timestamp of a
    wrong signature proves nothing. Raises BadSecret, and ValueError without any secret.
    """
    if not secrets:
        raise ValueError("A signature needs at least one secret.")
    keys = [_key(secret, profile) for secret in secrets]
    header = (signature or "").strip()
    stamp, candidates = _parts(profile, header, timestamp)
    age = int(now) - int(stamp) if "{timestamp}" in profile.content and _SECONDS.fullmatch(stamp) else None
    unreadable = _unreadable(profile, stamp, event_id)
    reason = _malformed(header, candidates) or unreadable
    expected = content = None
    if not unreadable:
        parts = {
            b"timestamp": stamp.encode(errors="replace"),
            b"id": event_id.encode(errors="replace"),
            b"body": body,
        }
        content = _template(profile.content) % parts
        made = [_encoder(profile)(hmac.digest(key, content, profile.digest)) for key in keys]
        expected = made[0]
        reason = reason or _mismatch(candidates, made) or _stale(age, tolerance)
    message = _message(reason, profile, age or 0, tolerance)
    return Verdict(reason is None, reason, message, expected, content, age)


def _parts(profile: Profile, header: str, timestamp: str | int | None) -> tuple[str, list[str]]:
    """The timestamp as text ("" when there is none) and the well-formed signatures of a header."""
    parts = [part.strip() for part in header.split(profile.separator)] if profile.separator else [header]
    stamp = _text(timestamp)
    if profile.timestamp_prefix is not None:
        stamps = [part for part in parts if part.startswith(profile.timestamp_prefix)]
        stamp = stamps[0].removeprefix(profile.timestamp_prefix) if stamps else stamp
    size = hashlib.new(profile.digest).digest_size
    form = f"[0-9A-Fa-f]{{{2 * size}}}" if profile.encoding == "hex" else _base64_form(size)
    pattern = re.compile(re.escape(profile.prefix) + form)
    return stamp, [part for part in parts if pattern.fullmatch(part)]


def _base64_form(size: int) -> str:
    padding = -size % 3
    return f"[0-9A-Za-z+/]{{{(size + padding) // 3 * 4 - padding}}}{'=' * padding}"


def _text(timestamp: str | int | None) -> str:
    if isinstance(timestamp, str):
        return timestamp.strip()
    if timestamp is None:
        return ""
    return str(timestamp) if abs(timestamp) < 10**15 else "too large"


def _malformed(header: str, candidates: list[str]) -> str | None:
    if not header:
        return "missing_signature"
    return None if candidates else "malformed_signature"


def _unreadable(profile: Profile, stamp: str, event_id: str) -> str | None:
    if "{timestamp}" in profile.content and not _SECONDS.fullmatch(stamp):
        return "malformed_timestamp" if stamp else "missing_timestamp"
    if "{id}" in profile.content and not _ID.fullmatch(event_id):
        return "malformed_id" if event_id else "missing_id"
    return None


def _mismatch(candidates: list[str], made: list[str]) -> str | None:
    # Every pair is compared, each in constant time: how long it takes tells nothing about how close a guess was.
    matches = [hmac.compare_digest(given, right) for given in candidates for right in made]
    return None if any(matches) else "signature_mismatch"


def _stale(age: int | None, tolerance: float) -> str | None:
    if age is None or abs(age) <= tolerance:
        return None
    return "timestamp_too_old" if age > 0 else "timestamp_in_future"


def _message(reason: str | None, profile: Profile, age: int, tolerance: float) -> str:
    if reason is None:
        return "The signature is valid."
    return REASONS[reason].format(
        header=profile.signature_header,
        shape=f"{profile.prefix}<{profile.digest} in {profile.encoding}>",
        clock=profile.timestamp_header or profile.signature_header,
        id_header=profile.id_header or "x-ultrareach-event-id",
        age=age,
        ahead=-age,
        tolerance=tolerance,
    )
