"""Signature profiles: how each vendor signs, as data, and what a user may set. Signs nothing itself."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args


class BadProfile(ValueError):
    """One field of a signature profile is wrong; `field` is "" when the whole value is."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


Digest = Literal["sha256", "sha1", "sha512"]
Encoding = Literal["hex", "base64"]
Key = Literal["utf8", "base64-after-prefix"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How one vendor signs: which bytes, which digest, which headers.

    `content` is text with the placeholders {timestamp}, {id} and {body}. With an empty `separator` the header holds
    only one signature: the newest secret's, even while an old one is still valid. `timestamp_prefix` opens the
    signature header with the timestamp, for vendors that send it in no header of its own.
    """

    preset: str
    content: str
    digest: Digest
    encoding: Encoding
    prefix: str
    separator: str
    signature_header: str
    timestamp_header: str | None
    timestamp_prefix: str | None
    id_header: str | None
    key: Key


DEFAULT = Profile(
    preset="ultrareach",
    content="{timestamp}.{body}",
    digest="sha256",
    encoding="hex",
    prefix="v1=",
    separator=",",
    signature_header="x-ultrareach-signature",
    timestamp_header="x-ultrareach-timestamp",
    timestamp_prefix=None,
    id_header=None,
    key="utf8",
)

PRESETS: dict[str, Profile] = {
    "ultrareach": DEFAULT,
    # github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, "Webhook Headers" and "Signature scheme"
    "standard-webhooks": replace(
        DEFAULT,
        preset="standard-webhooks",
        content="{id}.{timestamp}.{body}",
        encoding="base64",
        prefix="v1,",
        separator=" ",
        signature_header="webhook-signature",
        timestamp_header="webhook-timestamp",
        id_header="webhook-id",
        key="base64-after-prefix",
    ),
    # docs.stripe.com/webhooks/signature, "Verify webhook signatures manually"
    "stripe": replace(
        DEFAULT,
        preset="stripe",
        signature_header="Stripe-Signature",
        timestamp_header=None,
        timestamp_prefix="t=",
    ),
    # docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries: one secret, one signature
    "github": replace(
        DEFAULT,
        preset="github",
        content="{body}",
        prefix="sha256=",
        separator="",
        signature_header="X-Hub-Signature-256",
        timestamp_header=None,
    ),
    # docs.slack.dev/authentication/verifying-requests-from-slack: one secret, one signature
    "slack": replace(
        DEFAULT,
        preset="slack",
        content="v0:{timestamp}:{body}",
        prefix="v0=",
        separator="",
        signature_header="X-Slack-Signature",
        timestamp_header="X-Slack-Request-Timestamp",
    ),
    # shopify.dev/docs/apps/build/webhooks/subscribe/https, "Validate the origin of your webhook": one signature
    "shopify": replace(
        DEFAULT,
        preset="shopify",
        content="{body}",
        encoding="base64",
        prefix="",
        separator="",
        signature_header="X-Shopify-Hmac-SHA256",
        timestamp_header=None,
    ),
}

_CHOICES = {
    "digest": get_args(Digest),
    "encoding": get_args(Encoding),
    "key": get_args(Key),
}
_NULLABLE = {"timestamp_header", "timestamp_prefix", "id_header"}
HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")  # RFC 9110 §5.6.2
_PRINTABLE = re.compile(r"[ -~]{0,64}")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# Headers the sender writes itself, or that would break the request when written twice.
_TAKEN = re.compile(
    "host|content-(type|length|encoding)|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect"
    "|user-agent|accept-encoding|proxy-(authorization|connection)|x-ultrareach-(event|event-id|delivery-id|attempt)"
)


def as_dict(profile: Profile) -> dict[str, str | None]:
    """The object of the API; `profile_from` of it gives this profile again."""
    return asdict(profile)


def fields_described() -> dict[str, Any]:
    """What a user may set, as the properties of a JSON Schema."""
    kinds = {
        name: {"type": ["string", "null"] if name in _NULLABLE else "string"} for name in Profile.__slots__
    }
    return kinds | {name: {"type": "string", "enum": list(options)} for name, options in _CHOICES.items()}


def profile_from(value: object) -> Profile:
    """The profile a user means by a preset name or by fields on top of `preset` (default: ultrareach).

    Fields that differ from the preset make it `custom`. Raises BadProfile with the field and the cure.
    """
    if isinstance(value, str):
        return _preset(value)
    if not isinstance(value, Mapping):
        raise BadProfile("", f"Give a preset name ({_names(PRESETS)}) or an object with profile fields.")
    known = [field.name for field in fields(Profile)]
    for name in value:
        if name not in known:
            raise BadProfile(str(name), f"Unknown field. A profile has: {_names(known)}.")
    start = value.get("preset", DEFAULT.preset)
    base = DEFAULT if start == "custom" else _preset(start)
    given: dict[str, Any] = {name: _checked(name, item) for name, item in value.items() if name != "preset"}
    profile = replace(base, **given)
    _check_whole(profile)
    return profile if profile == base and start != "custom" else replace(profile, preset="custom")


def _preset(name: object) -> Profile:
    if not isinstance(name, str) or name not in PRESETS:
        raise BadProfile("preset", f"No such preset. Use one of: {_names(PRESETS)}.")
    return PRESETS[name]


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


def _checked(name: str, value: object) -> str | None:
    """One field by itself: type, alphabet, choices."""
    if value is None and name in _NULLABLE:
        return None
    if not isinstance(value, str):
        raise BadProfile(name, "Must be a string" + (" or null." if name in _NULLABLE else "."))
    if name in _CHOICES and value not in _CHOICES[name]:
        raise BadProfile(name, f"Must be one of: {_names(_CHOICES[name])}.")
    if name.endswith("_header"):
        if not HEADER_NAME.fullmatch(value):
            raise BadProfile(
                name, "Not a header name: 1 to 100 letters, digits or hyphens, such as x-signature."
            )
        if _TAKEN.fullmatch(value.lower()):
            raise BadProfile(name, f"The simulator writes {value} itself. Choose another header name.")
    elif name == "content":
        _check_content(value)
    elif not _PRINTABLE.fullmatch(value):
        raise BadProfile(name, "At most 64 printable ASCII characters.")
    return value


def _check_content(content: str) -> None:
    if not re.fullmatch(r"[ -~\n]{1,200}", content):
        raise BadProfile("content", "1 to 200 printable ASCII characters, such as {timestamp}.{body}.")
    for name in PLACEHOLDER.findall(content):
        if name not in ("timestamp", "id", "body"):
            raise BadProfile(
                "content", f"Unknown placeholder {{{name}}}. Use {{timestamp}}, {{id}} and {{body}}."
            )
    if re.search(r"[{}]", PLACEHOLDER.sub("", content)):
        raise BadProfile(
            "content", "There is a single brace. Use braces only for {timestamp}, {id} and {body}."
        )
    if "{body}" not in content:
        raise BadProfile("content", "{body} is missing: the signature would not protect the body.")


def _check_whole(profile: Profile) -> None:
    """What only shows when the fields are seen together."""
    separator = profile.separator
    if re.search(r"[0-9A-Za-z+/=]", separator):
        raise BadProfile(
            "separator", "Must not contain letters, digits, +, / or =: signatures consist of these."
        )
    if separator and separator in profile.prefix:
        raise BadProfile(
            "prefix", "Must not contain the separator: a receiver could not tell signatures apart."
        )
    if profile.timestamp_prefix is not None:
        if profile.timestamp_header is not None:
            raise BadProfile("timestamp_prefix", "Set timestamp_header or timestamp_prefix, not both.")
        if not separator:
            raise BadProfile(
                "separator", "Needed between the timestamp and the signature, for example a comma."
            )
        if profile.timestamp_prefix == profile.prefix:
            raise BadProfile("timestamp_prefix", "Must differ from prefix, or nobody can tell them apart.")
    elif profile.timestamp_header is None and "{timestamp}" in profile.content:
        raise BadProfile(
            "content", "{timestamp} is signed but never sent: set timestamp_header or timestamp_prefix."
        )
    headers = [profile.signature_header, profile.timestamp_header, profile.id_header]
    lowered = [name.lower() for name in headers if name]
    if len(set(lowered)) < len(lowered):
        raise BadProfile("signature_header", "The signature, timestamp and id headers need different names.")
