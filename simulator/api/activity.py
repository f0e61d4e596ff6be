"""`/activity`: who did what when."""

from django.http import HttpRequest, HttpResponse
from ninja import Router

from ..models import Activity
from .paging import CURSOR, LIMIT, Cursor, Limit, page
from .schemas import Out, Page, Time, refused
from .shapes import activity_json, answer

router = Router(tags=["activity"])


class ActivityOut(Out):
    id: str
    created: Time
    actor: str
    action: str
    subject: str
    detail: str


@router.get("", response={200: Page[ActivityOut], **refused()}, operation_id="listActivity", summary="List")
def index(request: HttpRequest, limit: Limit = LIMIT, cursor: Cursor = CURSOR) -> HttpResponse:
    """Every change of configuration, every manual action, every start and stop."""
    rows = Activity.objects.all()
    return answer(page(rows, limit, cursor, lambda entries: [activity_json(entry) for entry in entries]))
