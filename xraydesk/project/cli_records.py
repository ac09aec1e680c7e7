"""`xraydesk exam`, `image`, `item`, `message` and `worklist`: asking the desk what it knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import (
    NOT_FOUND,
    AsJson,
    Home,
    SiteCode,
    column,
    desk,
    no,
    put_list,
    put_one,
    site_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet

    from xraydesk.access.models import Site
    from xraydesk.attention.models import Item
    from xraydesk.imaging.models import Image
    from xraydesk.journey.exam_view import ExamView
    from xraydesk.links.models import Message
    from xraydesk.orders.models import Exam

PAGE = 1000
"""Exams read at once for a long list."""

exam = typer.Typer(no_args_is_help=True, help="Exams.")
image = typer.Typer(no_args_is_help=True, help="Images.")
item = typer.Typer(no_args_is_help=True, help="What waits for a person.")
message = typer.Typer(no_args_is_help=True, help="Messages in and out.")
worklist = typer.Typer(no_args_is_help=True, help="What modalities are given.")
for name, part in {
    "exam": exam,
    "image": image,
    "item": item,
    "message": message,
    "worklist": worklist,
}.items():
    app.add_typer(part, name=name)

Accession = Annotated[str, typer.Argument(metavar="ACCESSION", show_default=False)]
MessageId = Annotated[int, typer.Argument(metavar="ID", show_default=False, min=1, max=2**63 - 1)]


def _iso(at: datetime | None, site: Site) -> str | None:
    from xraydesk.lib.clock import in_zone

    return in_zone(at, site.timezone).isoformat() if at else None


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise typer.BadParameter(f"{text} is no date such as 2026-11-24", param_hint="--date") from None


def _views(exams: QuerySet[Exam], site: Site) -> Iterator[ExamView]:
    """Every one of a list of any length, a page at a time, by its key."""
    from xraydesk.journey.exam_view import views_of
    from xraydesk.orders.models import Exam

    last = 0
    while keys := list(exams.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE]):
        yield from views_of(Exam.objects.filter(pk__in=keys).order_by("pk"), site=site)
        last = keys[-1]


@exam.command("list")
def list_exams(
    *,
    on: Annotated[str | None, typer.Option("--date", metavar="DATE", show_default="today")] = None,
    every: Annotated[bool, typer.Option("--all", help="Of all days.")] = False,
    placer: Annotated[str | None, typer.Option(metavar="P", help="Of one placer number.")] = None,
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """Exams of a day, or of all."""
    if on and every:
        raise typer.BadParameter("give either --date or --all")
    day = _day(on)
    with desk(home):
        from xraydesk.journey.exam_view import as_json as exam_json
        from xraydesk.journey.exam_view import of_day
        from xraydesk.lib import clock
        from xraydesk.orders.models import Exam

        where = site_of(site)
        exams: QuerySet[Exam] = Exam.objects.filter(site=where)
        if not every:
            exams = of_day(site=where, day=day or clock.local_day(clock.now(), where.timezone))
        if placer is not None:
            exams = exams.filter(order__placer=placer)
        put_list(
            (exam_json(view, zone=where.timezone) for view in _views(exams, where)),
            as_json=as_json,
            columns=(
                column("accession"),
                column("stage"),
                column("start"),
                column("room"),
                column("patient", "patient_name"),
                column("number", "patient_id"),
                column("procedure", "procedure", "text"),
                column("placer"),
                column("why"),
            ),
        )


@exam.command("show")
def show_exam(
    accession: Accession, home: Home = None, site: SiteCode = None, as_json: AsJson = False
) -> None:
    """One exam with its images, dose and history."""
    with desk(home):
        from xraydesk.journey.exam_view import find

        where = site_of(site)
        view = find(site=where, accession=accession)
        if view is None:
            raise no(f"There is no exam {accession}.")
        put_one(_whole_exam(view, where), as_json=as_json)


def _whole_exam(view: ExamView, site: Site) -> dict[str, Any]:
    from dataclasses import asdict

    from xraydesk.dose.queries import dose_of_exam
    from xraydesk.facts.queries import of_exam
    from xraydesk.imaging.queries import counts_of_exam
    from xraydesk.journey.exam_view import as_json

    dose = dose_of_exam(exam_id=view.exam.pk)
    return {
        **as_json(view, zone=site.timezone),
        "reason": view.exam.reason or None,
        "images": counts_of_exam(view.exam.pk).as_json(),
        "dose": {
            "dap_gym2": dose.total_dap_gym2,
            "source": dose.source,
            "events": [{**asdict(event), "kvp": list(event.kvp)} for event in dose.events],
        },
        "facts": [
            {"at": _iso(fact.at, site), "kind": fact.kind, "by": fact.by}
            for fact in of_exam(site_id=site.pk, accession=view.exam.accession)
        ],
    }


@image.command("list")
def list_images(
    accession: Annotated[str | None, typer.Option(metavar="A", help="Of one exam.")] = None,
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """Images received, the newest first."""
    with desk(home):
        from xraydesk.imaging.queries import images

        put_list(
            (_image(one) for one in images(site=site_of(site), accession=accession or "")),
            as_json=as_json,
            columns=(
                column("state"),
                column("accession"),
                column("number", "patient_id"),
                column("sop_instance_uid"),
                column("why"),
            ),
        )


@image.command("kept")
def list_kept(*, home: Home = None, site: SiteCode = None, as_json: AsJson = False) -> None:
    """Files of images that are here, by the reason why they are kept."""
    with desk(home):
        from xraydesk.journey.retention import overview
        from xraydesk.lib import clock

        where = site_of(site)
        put_list(
            (
                {
                    "why": one.why.value,
                    "files": one.files,
                    "bytes": one.size_bytes,
                    "oldest": _iso(one.oldest, where),
                }
                for one in overview(site=where, at=clock.now()).totals
            ),
            as_json=as_json,
            columns=(column("why"), column("files"), column("bytes"), column("oldest")),
        )


def _image(one: Image) -> dict[str, Any]:
    return {
        "sop_instance_uid": one.sop_instance_uid,
        "study_instance_uid": one.study_instance_uid or None,
        "accession": (one.exam.accession if one.exam else one.accession) or None,
        "patient_id": one.patient_id or None,
        "state": one.state,
        "why": one.why or None,
    }


@item.command("list")
def list_items(
    every: Annotated[bool, typer.Option("--all", help="Those that are done with too.")] = False,
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """What waits for a person, the most pressing first."""
    with desk(home):
        from xraydesk.attention.models import Item

        where = site_of(site)
        items = Item.objects.filter(site=where).order_by("until", "pk")
        if not every:
            items = items.filter(closed_at=None)
        put_list(
            (_item(one, where) for one in items.iterator(PAGE)),
            as_json=as_json,
            columns=(
                column("id"),
                column("until"),
                column("kind"),
                column("accession"),
                column("text"),
                column("done", "closed_how"),
            ),
        )


def _item(one: Item, site: Site) -> dict[str, Any]:
    return {
        "id": one.pk,
        "kind": one.kind,
        "at": _iso(one.at, site),
        "until": _iso(one.until, site),
        "accession": one.accession or None,
        "control_id": one.control_id or None,
        "sop_instance_uid": one.sop_instance_uid or None,
        "text": one.text or None,
        "closed_at": _iso(one.closed_at, site),
        "closed_by": one.closed_by or None,
        "closed_how": one.closed_how or None,
    }


@message.command("list")
def list_messages(
    *,
    direction: Annotated[str | None, typer.Option(metavar="in|out")] = None,
    control_id: Annotated[str | None, typer.Option(metavar="C")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1)] = 100,
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """Messages, the newest first."""
    if direction not in (None, "in", "out"):
        raise typer.BadParameter("is in or out", param_hint="--direction")
    with desk(home):
        from xraydesk.links import messages

        where = site_of(site)
        found = messages.list_messages(
            site=where, direction=direction or "", control_id=control_id or "", limit=limit
        )
        put_list(
            (_message(one, where) for one in found.iterator(PAGE)),
            as_json=as_json,
            columns=tuple(
                column(name)
                for name in ("id", "at", "direction", "link", "control_id", "type", "ack", "state")
            ),
        )


def _message(one: Message, site: Site, *, whole: bool = False) -> dict[str, Any]:
    """A message as `links` tells it, its times on the site's clock."""
    from xraydesk.links.messages import as_json

    return as_json(one, whole=whole) | {"at": _iso(one.at, site)}


@message.command("show")
def show_message(
    number: MessageId, home: Home = None, site: SiteCode = None, as_json: AsJson = False
) -> None:
    """One message: as it was on the wire, and as it was read."""
    with desk(home):
        from xraydesk.links import messages

        where = site_of(site)
        try:
            one = messages.get_message(site=where, message_id=number)
        except messages.UnknownMessage as unknown:
            raise no(str(unknown)) from None
        put_one(_message(one, where, whole=True), as_json=as_json)


@message.command("replay")
def replay_message(
    number: MessageId, home: Home = None, site: SiteCode = None, as_json: AsJson = False
) -> None:
    """Apply once more a message that could not be applied; exit status 1 where it still cannot."""
    with desk(home):
        from xraydesk.journey.errors import Refused
        from xraydesk.lib import clock
        from xraydesk.links import messages
        from xraydesk.links.again import apply_again
        from xraydesk.links.states import MessageState

        where = site_of(site)
        try:
            messages.get_message(site=where, message_id=number)
            one = apply_again(message_id=number, at=clock.now(), by="desk")
        except Refused as refused:
            raise no(str(refused)) from None
        put_one(_message(one, where), as_json=as_json)
        if one.state not in (MessageState.APPLIED, MessageState.IGNORED):
            raise typer.Exit(NOT_FOUND)


@message.command("preview")
def preview_messages(
    accession: Annotated[str, typer.Argument(metavar="ACCESSION")],
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="An outlink of the site file.")],
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """What a system would be told of an exam, were all of it to happen now; nothing is sent or kept."""
    with desk(home):
        from xraydesk.links.outgoing.tell import preview
        from xraydesk.orders.models import Exam
        from xraydesk.siteplan.reading import from_json

        where = site_of(site)
        exam = Exam.objects.filter(site=where, accession=accession).first()
        plans = from_json(where.plan).outlinks if where.plan else ()
        outlink = next((one for one in plans if one.name == to), None)
        if exam is None or outlink is None:
            raise no(f"There is no exam {accession} here, or no outlink {to}.")
        shown = [{"type": kind, "raw": text.replace("\r", "\n")} for kind, text in preview(exam, outlink)]
    if as_json:
        put_list(shown, as_json=True, columns=())
    else:
        print("\n".join(one["raw"] for one in shown) or f"{to} would be told nothing of this exam.")


@message.command("take")
def take_messages(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Messages, batches or feed logs.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Take the messages of files as if they came over the wire, each by the link that its sender has; exit status 1 where one was refused.

    What came before is recognised and changes nothing.
    """
    rows = []
    with desk(home):
        from xraydesk.lib import clock
        from xraydesk.links.hl7.reader import Unreadable, read_batch
        from xraydesk.links.hl7.receive import Peer, Receiver

        receiver = Receiver()
        for file in files:
            try:
                raw = file.read_bytes()
            except OSError as trouble:
                raise no(f"{file} cannot be read: {trouble.strerror}") from None
            for answer in receiver.receive(raw, peer=Peer(), at=clock.now()):
                try:
                    answered = read_batch(answer).messages
                except Unreadable:  # pragma: no cover - our own answers can be read
                    continue
                rows += [
                    {"file": str(file), "control_id": a.first("MSA").get(2), "ack": a.first("MSA").get(1)}
                    for a in answered
                ]
    put_list(rows, as_json=as_json, columns=(column("file"), column("control_id"), column("ack")))
    if not rows or any(row["ack"] not in ("AA", "CA") for row in rows):
        raise typer.Exit(NOT_FOUND)


@worklist.command("explain")
def explain_worklist(
    accession: Accession,
    ae: Annotated[
        str, typer.Option("--ae", metavar="AET", help="The modality that asks.", show_default=False)
    ],
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """Why an exam is or is not on a modality's worklist; exit status 1 where it is not."""
    with desk(home):
        from xraydesk.lib import clock
        from xraydesk.links.dicom.explain import explain

        listed, why = explain(site=site_of(site), accession=accession, ae_title=ae, at=clock.now())
    if as_json:
        put_one({"listed": listed, "why": why}, as_json=True)
    else:
        print(why)
    if not listed:
        raise typer.Exit(1)
