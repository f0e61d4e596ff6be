"""A delivery for other tools: a curl command, a HAR 1.2 file, or JSON."""

import base64
import shlex
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from ..models import Delivery
from .shapes import Json, delivery_answer, delivery_with_attempts, with_attempts

_BY_CURL = ("host", "content-length", "connection", "transfer-encoding")  # it writes these itself
_LARGE = 64 * 1024  # of a body; Linux takes 128 KiB in one argument


def exported(delivery: Delivery, format: str) -> HttpResponseBase:
    """`format` is curl, har or json."""
    response: HttpResponseBase
    if format == "curl":
        command = curl(delivery_with_attempts(delivery), bytes(delivery.event.body))
        response = HttpResponse(command, content_type="text/plain; charset=utf-8")
    elif format == "har":
        response = with_attempts(har(), delivery.event, delivery.with_attempts(), _entry)
    else:
        response = delivery_answer(delivery)
    suffix = "sh" if format == "curl" else format
    response.headers["Content-Disposition"] = f'attachment; filename="{delivery.pk}.{suffix}"'
    return response


def curl(full: Json, body: bytes) -> str:
    """A shell command that sends the last attempt again, byte for byte, with the headers it had."""
    last = full["attempts"][-1]["request"] if full["attempts"] else None
    headers = last["headers"] if last else [["content-type", "application/json"]]
    options = [
        f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers if name.lower() not in _BY_CURL
    ]
    if "accept" not in {name.lower() for name, _ in headers}:
        options.append("-H Accept:")  # it would add its own
    source, data = "", f"--data-raw {shlex.quote(body.decode())}"
    if b"\0" in body or len(body) > _LARGE:  # no argument can hold it
        options.append("-H Expect:")  # before a megabyte it would ask
        source = f"printf %s {base64.b64encode(body).decode()} | base64 -d | "
        data = "--data-binary @-"
    url = shlex.quote(last["url"] if last else full["endpoint"]["url"])
    return source + " \\\n  ".join([f"curl --globoff -X POST {url}", *options, data]) + "\n"


def har() -> Json:
    """Its entries are the attempts; http://www.softwareishard.com/blog/har-12-spec/"""
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "UltraReach webhook simulator", "version": "1"},
            "entries": [],
        }
    }


def _entry(attempt: Json) -> Json:
    phases = {name: attempt["phases"][name] for name in ("dns", "connect", "send", "wait", "receive")}
    timings = {name: -1 if ms is None else ms for name, ms in phases.items()}
    tls = attempt["phases"]["tls"]
    if tls is not None:  # in HAR `connect` includes `ssl`
        timings |= {"ssl": tls, "connect": max(0, timings["connect"]) + tls}
    for needed in ("send", "wait", "receive"):
        timings[needed] = max(0, timings[needed])
    error = attempt["error"]
    return {
        "startedDateTime": attempt["started_at"],
        "time": attempt["duration_ms"] or 0,
        "request": _har_request(attempt["request"]),
        "response": _har_response(attempt["response"] or {}),
        "cache": {},
        "timings": timings,
        "comment": f"attempt {attempt['number']}: {attempt['status']}"
        + (f" ({error['code']})" if error else ""),
    }


def _har_request(request: Json) -> Json:
    query = parse_qsl(urlsplit(request["url"]).query, keep_blank_values=True)
    return {
        "method": request["method"],
        "url": request["url"],
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(request["headers"]),
        "queryString": _pairs(query),
        "postData": {"mimeType": "application/json", "text": request["body"]},
        "headersSize": -1,
        "bodySize": request["size"],
    }


def _har_response(response: Json) -> Json:
    headers = response.get("headers", [])
    by_name = {name.lower(): value for name, value in headers}
    return {
        "status": response.get("status_code") or 0,
        "statusText": response.get("reason") or "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(headers),
        "content": {
            "size": response.get("size", 0),
            "mimeType": by_name.get("content-type", ""),
            "text": response.get("body_base64", ""),
            "encoding": "base64",
        },
        "redirectURL": by_name.get("location", ""),
        "headersSize": -1,
        "bodySize": response.get("size", -1),
    }


def _pairs(pairs: Any) -> list[Json]:
    return [{"name": name, "value": value} for name, value in pairs]
