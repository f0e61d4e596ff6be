"""The code we hand out accepts what we send and nothing else, in Python and Node, for every preset."""

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from console import verifying
from simulator import signing
from simulator.models import Endpoint

BODY = b'{"id":"evt_1","text":"\xc3\xbc"}'
QUOTING = signing.profile_from(
    {
        "content": 'v"0\\:{timestamp}\n{body}',
        "prefix": 'sig="\\n',
        "separator": ';\\"',
        "timestamp_prefix": 't\\"=',
        "timestamp_header": None,
    }
)
PROFILES = {**signing.PRESETS, "what has to be escaped": QUOTING}
EACH = pytest.mark.parametrize("preset", list(PROFILES))


def signed(preset: str, age: int = 0) -> tuple[str, dict[str, str]]:
    """(secret, headers), with the signature of another secret first where a profile can carry two."""
    profile = PROFILES[preset]
    secrets = [signing.new_secret(profile), signing.new_secret(profile)]
    headers = signing.signer(profile, secrets)(timestamp=int(time.time()) - age, event_id="evt_1", body=BODY)
    return secrets[1 if profile.separator else 0], dict(headers)


def test_how_it_is_called_in_a_framework_stands_below_the_code_and_in_the_readme(
    client: Client, endpoint: Endpoint
) -> None:
    page = unescape(client.get(f"/endpoints/{endpoint.pk}/").content.decode())
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for framework, call in [each for calls in verifying.CALLS.values() for each in calls]:
        assert f"<dt>{framework}</dt><dd><code>{call}</code>" in page
        assert f"{framework}: `{call}`" in readme


def in_python(
    preset: str, secret: str, headers: dict[str, str], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> Any:
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    space: dict[str, Any] = {}
    exec(verifying.snippet(PROFILES[preset], "python"), space)  # noqa: S102 - it is what a user would paste
    return space["verify"](headers, body)


@EACH
def test_the_python_code_accepts_ours_and_refuses_all_else(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, headers = signed(preset)
    assert in_python(preset, secret, headers, BODY, monkeypatch) is True
    assert in_python(preset, secret, headers, BODY + b" ", monkeypatch) is False
    assert in_python(preset, signing.new_secret(PROFILES[preset]), headers, BODY, monkeypatch) is False
    assert in_python(preset, secret, {}, BODY, monkeypatch) is False
    if "{timestamp}" in PROFILES[preset].content:
        secret, headers = signed(preset, age=301)
        assert in_python(preset, secret, headers, BODY, monkeypatch) is False
        endless = {name: re.sub(r"\b\d{10}\b", "9" * 5000, value) for name, value in headers.items()}
        assert in_python(preset, secret, endless, BODY, monkeypatch) is False


@pytest.mark.parametrize("spelling", [lambda text: text, lambda text: text.rstrip("=")])
@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
def test_the_python_code_reads_a_key_in_either_alphabet_with_padding_or_without(
    spelling: Callable[[str], str], alphabet: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (30, 31, 32):
        secret = "whsec_" + spelling(alphabet((b"\xfb\xff" * 16)[:size]).decode())
        headers = signing.signer(signing.PRESETS["standard-webhooks"], [secret])(
            timestamp=int(time.time()),
            event_id="evt_1",
            body=BODY,
        )
        assert in_python("standard-webhooks", secret, dict(headers), BODY, monkeypatch) is True


@pytest.mark.skipif(not shutil.which("node"), reason="no Node on this machine")
@EACH
def test_the_node_code_accepts_ours_and_refuses_all_else(preset: str) -> None:
    secret, headers = signed(preset)
    calls = [(headers, BODY), (headers, BODY + b" "), ({}, BODY)]
    code = verifying.snippet(PROFILES[preset], "javascript")
    for given, body in calls:
        lowered = json.dumps({name.lower(): value for name, value in given.items()})
        code += f"\nconsole.log(verify({lowered}, Buffer.from({json.dumps(body.decode())})));"
    done = subprocess.run(
        ["node", "-e", code], env={"WEBHOOK_SECRET": secret}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["true", "false", "false"]


def test_each_language_has_its_snippet_highlighted_and_escaped() -> None:
    made = verifying.snippets(signing.DEFAULT)
    assert [snippet.title for snippet in made] == ["Python", "Node"]
    assert all("<span" in snippet.html and "=>" not in snippet.html for snippet in made)


def test_no_snippet_compares_a_signature_with_an_operator() -> None:
    for preset in signing.PRESETS.values():
        assert "compare_digest" in verifying.snippet(preset, "python")
        assert "timingSafeEqual" in verifying.snippet(preset, "javascript")
