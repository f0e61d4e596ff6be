"""What templates need to show things: icons, sizes, durations, moments. Knows no model."""

from datetime import datetime
from functools import cache
from importlib.resources import files
from zipfile import ZipFile

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from simulator.api.shapes import iso

register = template.Library()

LONG_S = 30 * 365 * 86400

# fmt: off
ICONS = (
    "arrow-up", "ban", "braces", "check", "chevron-right", "circle-check", "circle-dashed",
    "circle-slash", "circle-x", "copy", "download", "eye", "hourglass", "house", "info", "keyboard",
    "loader-circle", "message-square", "monitor", "moon", "pause", "pencil", "play", "plug",
    "plus", "refresh-cw", "rotate-cw", "search", "send", "sparkles", "sun", "trash-2", "trending-up",
    "triangle-alert", "unplug", "user-check", "webhook", "x", "zap",
)
# fmt: on


@register.simple_tag
@cache
def sprite() -> SafeString:
    """Every icon once per page, as symbols: a row then needs only a short `<use>`."""
    symbols = []
    # lucide's own tag reads its list of 1,700 icons again for each one: 0.3 s for the first page.
    with (files("lucide") / "lucide.zip").open("rb") as file, ZipFile(file) as drawings:
        for name in ICONS:
            drawing = drawings.read(f"{name}.svg").decode()
            inside = drawing[drawing.index(">") + 1 : drawing.rindex("</svg>")].strip()
            symbols.append(f'<symbol id="i-{name}" viewBox="0 0 24 24">{inside}</symbol>')
    return mark_safe(f'<svg class="sprite" aria-hidden="true">{"".join(symbols)}</svg>')


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """One of ICONS, decorative: there is always a word beside it."""
    if name not in ICONS:
        raise template.TemplateSyntaxError(f"No icon {name!r}: add it to ICONS.")
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"></use></svg>', name)


@register.filter
def ms(value: float | None) -> str:
    """8.4 → "8 ms", 0.31 → "0.3 ms", 0.042 → "0.04 ms", 12400 → "12.4 s"."""
    if value is None:
        return ""
    if value < 0.1:
        return f"{value:.1g} ms"
    if value < 0.95:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 999.5 else seconds(value / 1000)


@register.filter
def seconds(value: float) -> str:
    """2 → "2 s", 12.41 → "12.4 s", 184 → "3 min 4 s", 60 → "1 min"."""
    if value < 60:
        return f"{value:.1f}".removesuffix(".0") + " s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60)} s".removesuffix(" 0 s")
    if value > LONG_S:
        return "over 30 years"
    return f"{int(value // 3600)} h {int(value % 3600 // 60)} min".removesuffix(" 0 min")


@register.filter
def size(count: int) -> str:
    """Bytes in words: 412 → "412 bytes", 262144 → "256 KiB"."""
    if count < 1024:
        return "1 byte" if count == 1 else f"{count} bytes"
    for unit, factor in (("KiB", 1024), ("MiB", 1024**2), ("GiB", 1024**3)):
        if count < factor * 1024:
            return f"{count / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{count / 1024**4:.1f} TiB"


@register.filter
def grouped(number: int) -> str:
    """20000 → "20,000"."""
    return f"{number:,}"


@register.filter
def parted(code: str) -> SafeString:
    """A failure's code, which may go on in the next line behind each of its words."""
    return format_html_join(mark_safe("_<wbr>"), "{}", ((word,) for word in code.split("_")))


@register.simple_tag
def clock(moment: datetime) -> SafeString:
    """A time of day; the absolute moment on hover. Local in the browser (static/js/clock.js)."""
    exact = iso(moment)
    day, time = exact[:10], exact[11:19]
    return mark_safe(  # rendered in every row, and nothing in it comes from outside
        f'<time datetime="{exact}" data-clock title="{day} {time} UTC">{time}</time>'
    )


@register.simple_tag
def countdown(moment: datetime) -> SafeString:
    """ "in 3.4 s", ticking in the browser from `datetime`."""
    left = max(0.0, (moment - timezone.now()).total_seconds())
    return format_html('<time data-due datetime="{}">in {}</time>', iso(moment), seconds(left))


@register.simple_tag
def elapsed(moment: datetime) -> SafeString:
    """How long something has been under way, ticking in the browser."""
    gone = max(0.0, (timezone.now() - moment).total_seconds())
    return format_html('<time data-since datetime="{}">{}</time>', iso(moment), seconds(gone))
