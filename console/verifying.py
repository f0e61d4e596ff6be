"""How a receiver verifies what we send: code in its own language, made from the endpoint's profile."""

from dataclasses import dataclass

from django.template.loader import get_template
from django.utils.safestring import SafeString

from simulator.profiles import PLACEHOLDER, Profile
from simulator.signing import TOLERANCE

from .bodies import code

LANGUAGES = {"python": "Python", "javascript": "Node"}
_TEMPLATES = {"python": "snippets/verify.py.txt", "javascript": "snippets/verify.js.txt"}
# What is called with the bytes as they came, in each framework: where most go wrong.
CALLS = {
    "python": (
        ("Django", "verify(request.headers, request.body)"),
        ("Flask", "verify(request.headers, request.get_data())"),
        ("FastAPI", "verify(request.headers, await request.body())"),
    ),
    "javascript": (
        (
            "Express",
            'app.post("/webhook", express.raw({ type: "*/*" }), (req, res) => res.sendStatus(verify(req.headers, req.body) ? 200 : 401))',
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Snippet:
    language: str
    title: str
    text: str

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        return CALLS[self.language]

    @property
    def html(self) -> SafeString:
        return code(self.text, self.language)


def snippets(profile: Profile) -> list[Snippet]:
    """Code to paste into a receiver, one for each of LANGUAGES. The secret comes from WEBHOOK_SECRET."""
    return [Snippet(name, title, snippet(profile, name)) for name, title in LANGUAGES.items()]


def snippet(profile: Profile, language: str) -> str:
    text = get_template(_TEMPLATES[language]).render(
        {
            "profile": profile,
            "quoted": {
                "prefix": _quoted(profile.prefix),
                "separator": _quoted(profile.separator),
                "timestamp_prefix": _quoted(profile.timestamp_prefix or ""),
            },
            "parts": _parts(profile.content),
            "timed": "{timestamp}" in profile.content,
            "tolerance": TOLERANCE,
            "id_header": profile.id_header or "x-ultrareach-event-id",
            "signs_id": "{id}" in profile.content,
            "lower": profile.signature_header.lower(),
        }
    )
    return text.strip() + "\n"


def _parts(content: str) -> list[tuple[str, str]]:
    """[("field", "timestamp"), ("text", "."), ("field", "body")], with the text escaped for quotes."""
    pieces = PLACEHOLDER.split(content)
    found = []
    for index, piece in enumerate(pieces):
        if index % 2:
            found.append(("field", piece))
        elif piece:
            found.append(("text", _quoted(piece)))
    return found


def _quoted(text: str) -> str:
    """Escaped for double quotes, in either language."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
