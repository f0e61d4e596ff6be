"""`send`: fires an event and follows each of its deliveries to the end, one line an attempt."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from simulator.carriers import Alone, Carrier, Json, Refused, Unavailable, carrier
from simulator.management.command import BAD_INPUT, ENVIRONMENT, INTERRUPTED, ExplainedCommand
from simulator.models.delivery import FINISHED
from simulator.payload import BadJSON, parse_json

EXAMPLE = """\
Examples:
  python3 manage.py send lead.qualified
  python3 manage.py send lead.qualified --to http://localhost:3000/webhook --set score=90
  python3 manage.py send message.received --data @message.json --json

Without --to or --endpoint, every endpoint that subscribes gets it.
Exit code: 0 all delivered, 1 a receiver failed, 2 bad input, 3 folder or database cannot be used."""

DELIVERED, FAILED = 0, 1
MAX_COUNT = 10_000
LOOK_S = 0.05


class Command(ExplainedCommand):
    help = "Fire one event and follow it to the end."
    epilog = EXAMPLE

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("type", metavar="TYPE", help="the event type, such as lead.qualified")
        whom = parser.add_mutually_exclusive_group()
        whom.add_argument("--to", metavar="URL", help="send to this URL; it needs no registration")
        whom.add_argument("--endpoint", metavar="ID", help="send only to this endpoint")
        parser.add_argument("--data", metavar="JSON|@FILE", help="the event's data (default: a fresh sample)")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="PATH=VALUE",
            help="set one field: score=90, or a.b=1 inside an object",
        )
        parser.add_argument("--count", type=_count, default=1, metavar="N", help="send N events (default: 1)")
        parser.add_argument("--no-wait", action="store_true", help="do not follow the deliveries")
        parser.add_argument("--json", action="store_true", help="print one JSON object per line")

    def handle(self, *args: Any, **options: Any) -> None:
        by = None
        try:
            body = _body(options)
            with carrier(delivers=not options["no_wait"]) as by:
                code = self._send(by, body, options)
        except Refused as error:
            self.give_up(str(error), BAD_INPUT, error.error)
        except Unavailable as error:
            self.give_up(str(error), ENVIRONMENT, error.error)
        except KeyboardInterrupt:
            queued = "Stopped following. What is not delivered yet stays queued."
            self.give_up(queued if by else "Stopped before anything was sent.", INTERRUPTED)
        raise SystemExit(code)

    def _send(self, by: Carrier, body: Json, options: dict[str, Any]) -> int:
        several = options["count"] > 1
        report = Report(self, as_json=options["json"], several=several)
        deliveries: list[str] = []
        for _ in range(options["count"]):
            sent = by.send(body)
            report.sent(sent)
            deliveries += [delivery["id"] for delivery in sent["deliveries"]]
        report.several = len(deliveries) > 1
        if not deliveries:
            raise Refused(_nobody(body["type"], {skipped["reason"] for skipped in sent["skipped"]}))
        if options["no_wait"]:
            if isinstance(by, Alone):
                report.left()
            return DELIVERED
        return _follow(by, deliveries, report)


def _nobody(type: str, reasons: set[str]) -> str:
    if "paused" in reasons:
        return "Nobody got it, because every endpoint that would is paused. Resume one, or name a receiver with --to."
    return (
        f"Nobody got it, because nobody subscribes to {type}. Register an endpoint for it, or name a receiver"
        " with --to: while the simulator runs, its own /receiver/ is one."
    )


class Report:
    """What is printed: words for people, or one JSON object a line."""

    def __init__(self, command: BaseCommand, *, as_json: bool, several: bool):
        self._out = command.stdout
        self._json = as_json
        self.several = several
        self._explained: dict[str, str] = {}

    def sent(self, sent: Json) -> None:
        if self._json:
            return self._line({"kind": "event", **sent})
        event = sent["event"]
        for delivery in sent["deliveries"]:
            self._out.write(
                f"{event['type']} {event['id']} → {delivery['endpoint']['url']}  ({delivery['id']})"
            )
        for skipped in sent["skipped"]:
            if skipped["reason"] != "not_subscribed":
                self._out.write(
                    f"{event['type']} {event['id']} skipped {skipped['endpoint']}: {skipped['reason']}"
                )

    def left(self) -> None:
        """No server is running that would send it."""
        text = "Nothing has been sent yet, because the simulator is not running: the next `python3 manage.py up` sends it."
        if self._json:
            return self._line({"kind": "left", "message": text})
        self._out.write(text)

    def attempt(self, delivery: Json, attempt: Json) -> None:
        if self._json:
            return self._line({"kind": "attempt", "delivery": delivery["id"], "attempt": attempt})
        self._say(delivery, f"attempt {attempt['number']}  {_outcome(attempt)}")
        error = attempt["error"]
        if error and self._explained.get(delivery["id"]) != error["message"]:
            self._explained[delivery["id"]] = error["message"]  # once, however often it fails like this
            self._say(delivery, f"           {error['message']}", f"           → {error['hint']}")

    def ended(self, delivery: Json) -> None:
        if self._json:
            return self._line({"kind": "delivery", "delivery": {**delivery, "attempts": None}})
        count = delivery["attempt_count"]
        after = f"after {count} attempt{'' if count == 1 else 's'}"
        words = {"succeeded": f"delivered {after}", "failed": f"failed {after}", "cancelled": "cancelled"}
        self._say(
            delivery, words.get(delivery["status"], "waits: its endpoint is paused. Resume it to go on.")
        )

    def _say(self, delivery: Json, *lines: str) -> None:
        whose = f"{delivery['id']}  " if self.several else "  "
        for line in lines:
            self._out.write(whose + _plain(line))
        self._out.flush()

    def _line(self, facts: Json) -> None:
        self._out.write(json.dumps(facts))
        self._out.flush()


def _follow(by: Carrier, deliveries: list[str], report: Report) -> int:
    """Follow each delivery until it has ended, or waits for somebody to resume its endpoint."""
    told = dict.fromkeys(deliveries, 0)
    code = DELIVERED
    while told:
        for id in list(told):
            delivery = by.delivery(id)
            for attempt in delivery["attempts"][told[id] :]:
                if attempt["status"] == "sending":
                    break
                report.attempt(delivery, attempt)
                told[id] += 1
            held = delivery["status"] == "pending" and delivery["next_attempt_at"] is None
            if held or delivery["status"] in FINISHED:
                report.ended(delivery)
                del told[id]
                code = code if delivery["status"] == "succeeded" else FAILED
        time.sleep(LOOK_S if told else 0)
    return code


def _outcome(attempt: Json) -> str:
    """`500 Internal Server Error  12 ms`, or the failure code when no answer came."""
    response, error = attempt["response"], attempt["error"]
    if response and response["status_code"]:
        result = f"{response['status_code']} {response['reason'] or ''}".strip()
    else:
        result = error["code"] if error else attempt["status"]
    took = "" if attempt["duration_ms"] is None else f"  {attempt['duration_ms']:.0f} ms"
    return result + took


def _plain(text: str) -> str:
    """Without control characters: part of it was written by a receiver, and this goes to a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _body(options: dict[str, Any]) -> Json:
    """The body of `POST /events` that these options mean. Raises Refused."""
    body: Json = {"type": options["type"], "trigger": "cli"}
    if options["data"] is not None:
        body["data"] = _data(options["data"])
    if options["set"]:
        body["overrides"] = dict(_override(text) for text in options["set"])
    if options["to"] is not None:
        body["to"] = options["to"]
    if options["endpoint"] is not None:
        body["endpoints"] = [options["endpoint"]]
    return body


def _data(text: str) -> Json:
    try:
        value = parse_json(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except OSError as error:
        raise Refused(f"--data: {text[1:]}: {error.strerror}.") from None
    except BadJSON as error:
        place = f"line {error.line}, column {error.column}: " if error.line else ""
        raise Refused(f"--data: {place}{error.message}") from None
    if not isinstance(value, dict):
        raise Refused('--data: the data of an event must be an object, such as {"lead_id": "lead_1"}.')
    return value


def _override(text: str) -> tuple[str, Any]:
    """`score=90` is a number, `name=Ann` a text: a value that is not JSON is taken as it is."""
    path, equals, value = text.partition("=")
    if not path or not equals:
        raise Refused(f"--set {text!r}: write it as path=value, such as score=90.")
    try:
        return path, parse_json(value)
    except BadJSON:
        return path, value


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
    if not 1 <= count <= MAX_COUNT:
        raise argparse.ArgumentTypeError(f"{text!a} is not a number from 1 to {MAX_COUNT:,}")
    return count
