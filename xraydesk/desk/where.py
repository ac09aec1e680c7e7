"""The addresses of things that have a page of their own; accession numbers and codes only, no names."""

from __future__ import annotations

from urllib.parse import quote, urlencode


def exam(accession: str) -> str:
    """The exam's page."""
    return f"/exams/{quote(accession, safe='')}"


def exam_action(accession: str, action: str) -> str:
    """Where a form about one exam is sent, for example `arrive`."""
    return f"{exam(accession)}/{action}"


def room(code: str) -> str:
    """The room's worklist."""
    return f"/rooms/{quote(code, safe='')}"


def hold(hold_id: int) -> str:
    """The page of held places, where somebody decides on them."""
    return f"/holds/{hold_id}"


def board(
    *, day: str = "", span: str = "", since: str = "", exam: str = "", option: int = 0, unfolded: str = ""
) -> str:
    """The board; what is empty is left out of the address. `unfolded` is the room whose read exams are shown one by one."""
    given = {"day": day, "span": span, "from": since, "unfolded": unfolded, "exam": exam, "option": option}
    query = urlencode({name: value for name, value in given.items() if value})
    return f"/?{query}" if query else "/"


def day_list(*, day: str = "", show: str = "", room: str = "") -> str:
    """The day's exams as a list, all or those that `show` names."""
    given = {"day": day, "show": show, "room": room}
    query = urlencode({name: value for name, value in given.items() if value})
    return f"/day?{query}" if query else "/day"


def repair(*, room: str) -> str:
    """How the day goes on without a room."""
    return f"/repair?{urlencode({'room': room})}"
