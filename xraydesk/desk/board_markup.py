"""The blocks, lanes and stretches of the board as markup.

Written in Python, not in a template: three hundred blocks are built for every change that
anybody sees. Every text that came from outside passes `escape`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString

from xraydesk.desk import where
from xraydesk.desk.board_layout import (
    SHOWN_BY_THE_MINUTE_MAX,
    Block,
    Card,
    Folded,
    HeldBlock,
    Mark,
    Window,
    blocks_of_lane,
    drawn_stage,
    fold,
)
from xraydesk.desk.board_query import Lane
from xraydesk.desk.words import CLASS_WORDS, GLYPHS, NO_NAME, STAGE_WORDS
from xraydesk.journey.stage import Stage
from xraydesk.orders.states import Priority
from xraydesk.scheduling.engine.department import PORTABLE
from xraydesk.scheduling.engine.spans import Span, without

Link = Callable[[str], str]
"""From an accession number to the board's address with that exam chosen."""


def short_name(card: Card) -> str:
    """What a block says: the family name; with the given name where two are alike."""
    if card.alike:
        return " ".join(part for part in (card.family, card.given) if part) or NO_NAME
    return card.family or card.given or NO_NAME


def whole_name(card: Card) -> str:
    """`Family, Given`, or "no name yet"."""
    return ", ".join(part for part in (card.family, card.given) if part) or NO_NAME


def stage_word(card: Card) -> str:
    """The word for where the exam stands."""
    if card.displaced:
        return "Needs a place"
    match card.stage:
        case Stage.HELD:
            return "On hold"
        case Stage.NO_SHOW:
            return "Did not come"
        case Stage.DISCONTINUED:
            return "Discontinued"
        case _:
            return STAGE_WORDS[drawn_stage(card)]


def cap(stage: str, glyph: str) -> str:
    """The coloured head of a block, with its glyph."""
    inner = f'<svg aria-hidden="true"><use href="#g-{glyph}"/></svg>' if glyph else ""
    return f'<span class="cap" data-stage="{stage}">{inner}</span>'


def _glyph(card: Card, stage: str) -> str:
    if card.displaced:
        return "lost"
    return "hold" if card.stage is Stage.HELD else GLYPHS[stage]


def _running(mark: Mark) -> str:
    """A lateness, counting by itself while minutes are the right unit."""
    if mark.minutes <= SHOWN_BY_THE_MINUTE_MAX:
        since = mark.since.isoformat()
        inner = f"+{mark.minutes}"
        return f'<span class="flag" data-since="{since}" data-form="+#">{inner}<span class="w"> {mark.word}</span></span>'
    return f'<span class="flag">+{mark.minutes // 60} h<span class="w"> {mark.word}</span></span>'


def _waits(mark: Mark) -> str:
    if mark.minutes > SHOWN_BY_THE_MINUTE_MAX:
        return f'<span class="flag">{mark.minutes // 60} h</span>'
    return f'<span class="flag" data-since="{mark.since.isoformat()}" data-form="#′" title="minutes of waiting">{mark.minutes}′</span>'


def _flags(block: Block) -> str:
    card, found = block.card, []
    if card.stage is Stage.HELD:
        found.append('<span class="flag">hold</span>')
    elif card.stage is Stage.NO_SHOW:
        found.append('<span class="flag">no-show</span>')
    elif card.stage is Stage.DISCONTINUED:
        found.append('<span class="flag">stopped</span>')
    elif card.preliminary and card.stage is Stage.ENDED:
        found.append('<span class="flag" title="A preliminary report is here">prelim</span>')
    if block.late:
        found.append(_running(block.late))
    elif block.waiting:
        found.append(_waits(block.waiting))
    if card.isolation:
        found.append(f'<span class="flag safe" title="{escape(card.isolation)} precautions">iso</span>')
    return "".join(found)


def _before_name(card: Card) -> str:
    open_stages = (Stage.SCHEDULED, Stage.ARRIVED, Stage.BEGUN, Stage.HELD)
    stat = (
        '<b class="flag fill">STAT</b>'
        if card.priority is Priority.STAT and card.stage in open_stages
        else ""
    )
    alike = '<span class="flag safe" title="Two patients have names alike">≈</span>' if card.alike else ""
    return stat + alike


def _from_and_how(card: Card) -> str:
    markup = ""
    if card.origin:
        word = CLASS_WORDS.get(card.patient_class, "")
        markup += f'<abbr class="cls" title="{word}">{escape(card.origin)}</abbr>'
    if card.mode:
        markup += f'<span class="mode"><span class="vh">{card.mode}</span><svg class="g" aria-hidden="true"><use href="#g-{card.mode}"/></svg></span>'
    return markup


def block(block: Block, *, link: Link, zone: ZoneInfo, chosen: bool) -> str:
    """One exam in its lane."""
    card = block.card
    stage = drawn_stage(card)
    kinds = "ex"
    if block.late:
        kinds += " late"
    if card.displaced:
        kinds += " lost"
    if card.stage is Stage.HELD:
        kinds += " held"
    row = f";--y:{block.row}" if block.row else ""
    begins = card.begun_at or card.planned_start
    time = f'<time class="at">{begins.astimezone(zone):%H:%M}</time>' if begins else ""
    current = ' aria-current="true"' if chosen else ""
    return (
        f'<li id="e-{escape(card.accession)}" data-live style="--s:{block.start};--d:{block.length};--g:{block.label}{row}">'
        f'<a class="{kinds}" data-stage="{stage}" href="{escape(link(card.accession))}"{current}>'
        f"{cap(stage, _glyph(card, stage))}{_before_name(card)}"
        f'<span class="who">{escape(short_name(card))}</span>{_from_and_how(card)}{_flags(block)}'
        f'<span class="what">{escape(card.what)}</span><span class="st">{stage_word(card)}</span>{time}</a></li>'
    )


def _shut(lane: Lane, window: Window) -> list[str]:
    found = []
    whole = (Span(window.start, window.end),)
    for number, span in enumerate(without(whole, lane.opened)):
        shown = window.clipped(span.start, span.end)
        if shown:
            found.append(
                f'<li class="shut" id="s-{escape(lane.code)}-{number}" data-live style="--s:{shown[0]};--d:{shown[1]}"><span class="vh">Closed</span></li>'
            )
    for number, (span, whom) in enumerate(lane.kept):
        shown = window.clipped(*span)
        if shown:
            found.append(
                f'<li class="hatch" id="k-{escape(lane.code)}-{number}" data-live style="--s:{shown[0]};--d:{shown[1]}" title="Kept for {escape(whom)}"><span class="vh">Kept for {escape(whom)}</span></li>'
            )
    down = window.clipped(*lane.down) if lane.down else None
    if down:
        reason = (
            f"<span>{escape(lane.down_reason)}</span>" if lane.down_reason else '<span class="vh">Down</span>'
        )
        found.append(
            f'<li class="shut hatch" id="d-{escape(lane.code)}" data-live style="--s:{down[0]};--d:{down[1]}"><p>{reason}</p></li>'
        )
    return found


def held_block(held: HeldBlock, *, zone: ZoneInfo, may_open: bool) -> str:
    """A place that somebody is making up their mind about; it leads to the hold for whoever may decide. Nobody is named."""
    place = held.place
    row = f";--y:{place.row}" if place.row else ""
    tag, leads = ("a", f' href="{where.hold(place.hold)}"') if may_open else ("span", "")
    return (
        f'<li id="h-{place.hold}-{held.start}" data-live style="--s:{held.start};--d:{held.length};--g:{held.label}{row}">'
        f'<{tag}{leads} class="ex held" data-stage="scheduled">{cap("scheduled", "hold")}'
        f'<span class="who">Held until {place.until.astimezone(zone):%H:%M}</span>'
        f'<time class="at">{place.start.astimezone(zone):%H:%M}</time></{tag}></li>'
    )


def many(one: Folded, *, number: str, href: str, what: str) -> str:
    """What is done and folded: how many, and the page, if any, that shows them one by one. `number` makes its id."""
    tag, leads = ("a", f' href="{escape(href)}"') if href else ("span", "")
    return (
        f'<li id="f-{escape(number)}" data-live style="--s:{one.start};--d:{one.length};--g:{one.label};--n:{one.count}">'
        f'<{tag}{leads} class="many"><i></i><span>{one.count} {what}</span></{tag}></li>'
    )


def line(
    lane: Lane,
    window: Window,
    at: datetime,
    *,
    link: Link,
    zone: ZoneInfo,
    chosen: str = "",
    may_open_holds: bool = False,
    unfolded: str = "",
) -> SafeString:
    """Everything in one room's lane: closed, kept and down stretches, held places, then the exams in order of time.

    What it began with and was all read folds, where `unfolded` is the address that shows it.
    """
    parts = _shut(lane, window)
    blocks, holds = blocks_of_lane(lane.cards, window, at, held=lane.held)
    parts += [held_block(one, zone=zone, may_open=may_open_holds) for one in holds]
    if unfolded:
        done, blocks = fold(blocks, window, chosen=chosen)
        if done:
            parts.append(many(done, number=lane.code, href=unfolded, what="read"))
    for one in blocks:
        parts.append(block(one, link=link, zone=zone, chosen=one.card.accession == chosen))
    return SafeString("".join(parts))


def lane_head(
    lane: Lane,
    at: datetime,
    *,
    day: str,
    zone: ZoneInfo,
    may_open_room: bool = False,
    may_place: bool = False,
) -> SafeString:
    """A lane's head: room, kind, who is there, how full it is; or that it is down. It leads nobody where they may not go."""
    code = escape(lane.code)
    tag, leads = ("a", f' href="{where.room(lane.code)}"') if may_open_room else ("span", "")
    room = f'<{tag}{leads} title="{escape(lane.name)}">{code}</{tag}>'
    if lane.down and lane.down.start <= at < lane.down.end:
        until = f"until {lane.down.end.astimezone(zone):%H:%M}" if lane.down.end else ""
        again = ""
        if lane.to_place_again:
            target = escape(
                where.repair(room=lane.code) if not day else where.day_list(day=day, show="unplaced")
            )
            told = f"{lane.to_place_again} to place again"
            again = f'<p><a href="{target}">{told}</a></p>' if may_place or day else f"<p>{told}</p>"
        return SafeString(
            f'<h3 id="r-{code}">{room}<b class="tag fill">Down</b></h3><p class="muted">{until}</p>{again}'
        )
    kind = "Portable" if lane.kind == PORTABLE else lane.kind.replace("-", " ").capitalize()
    who = (
        f"<p>{escape(lane.technologist)}</p>" if lane.technologist else '<p class="muted">nobody planned</p>'
    )
    if lane.load is None:
        load = '<p class="muted">closed</p>'
    else:
        load = (
            f'<p class="load muted" style="--v:{min(lane.load, 100)}%"><i></i><span>{lane.load} %</span></p>'
        )
    return SafeString(f'<h3 id="r-{code}">{room}<span>{escape(kind)}</span></h3>{who}{load}')
