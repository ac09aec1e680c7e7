"""What each kind of search value means as a condition on rows (FHIR R4 §3.1.1.4). Names of columns come from here alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import MAXYEAR, UTC, date, datetime, timedelta
from functools import reduce
from operator import or_

from django.db.models import Exists, F, Max, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest

from xraydesk.access.models import Site
from xraydesk.facts.models import Fact
from xraydesk.lib import clock
from xraydesk.lib.text import folded
from xraydesk.links.fhir.elements_codec import (
    CODES_PREFIX,
    DICOM_UID_SYSTEM,
    OID_PREFIX,
    V2_IDENTIFIER_TYPE,
    authority_of,
    read_reference,
)
from xraydesk.links.fhir.issuers import authority_here
from xraydesk.links.models import SentResource
from xraydesk.orders.models import Exam, Order
from xraydesk.patients.models import PatientIdentifier

KEY_LENGTH_MAX = 18
"""A row's key has no more digits than a 64-bit number."""

TEXT_LENGTH_MAX = 200
"""Longer search values are refused."""

NOBODY = Q(pk__in=())

Condition = Callable[[Site, str], Q]
"""One search value of a site as a condition on rows. Raises BadValue."""


class BadValue(ValueError):
    """A search value cannot be read; the message says what it should look like."""


def any_of(conditions: Iterable[Q]) -> Q:
    """Rows that fit one of the conditions; none where there is none."""
    return reduce(or_, conditions, NOBODY)


def key_of(text: str, prefix: str = "") -> int | None:
    """The key in a resource's id; None where it is nobody's."""
    digits = text.removeprefix(prefix)
    if not text.startswith(prefix) or not (digits.isascii() and digits.isdigit()):
        return None
    if digits.startswith("0") and digits != "0":
        return None  # 007 is another id than 7.
    return int(digits) if len(digits) <= KEY_LENGTH_MAX else None


def by_key(prefix: str = "") -> Condition:
    """`_id`."""
    return lambda site, value: Q(pk__in=[key for key in [key_of(value, prefix)] if key is not None])


def token_of(text: str) -> tuple[str | None, str]:
    """A token: its system (None where any will do) and its value (§3.1.1.4.10)."""
    system, bar, value = text.rpartition("|")
    return (system if bar else None), value


def token(
    column: str, codes: Mapping[str, Iterable[str]] | None = None, *, systems: Iterable[str] = ()
) -> Condition:
    """A code; `codes` says which values of the column each code of FHIR means, `systems` which tables hold them (any where none is told)."""

    def condition(site: Site, value: str) -> Q:
        system, code = token_of(value)
        if system is not None and systems and system not in systems:
            return NOBODY
        return Q(**{f"{column}__in": list(codes.get(code, ())) if codes is not None else [code]})

    return condition


def code_of_list(code: str, system: str) -> Condition:
    """A code of the department's own list: `code`, `system|code`, `|code` without a table, `system|` for all of one."""

    def condition(site: Site, value: str) -> Q:
        table, said = token_of(value)
        whole = Q(**{code: said}) if said else Q()
        if table is None:
            return whole
        if table and not table.startswith(CODES_PREFIX):
            return NOBODY
        return whole & Q(**{system: table.removeprefix(CODES_PREFIX)})

    return condition


def always(code: str) -> Condition:
    """A code that every row has."""
    return lambda site, value: ~NOBODY if token_of(value)[1] == code else NOBODY


def anything(site: Site, value: str) -> Q:
    """No condition on rows: what is asked for is read by whoever finds."""
    return ~NOBODY


def flag(column: str, *, negated: bool = False) -> Condition:
    """`true` or `false` of a column that is one."""

    def condition(site: Site, value: str) -> Q:
        said = token_of(value)[1]
        if said not in ("true", "false"):
            raise BadValue("takes true or false")
        return Q(**{column: (said == "true") is not negated})

    return condition


def reference(column: str, kind: str) -> Condition:
    """A reference to a resource of `kind` here, by its id or its address."""

    def condition(site: Site, value: str) -> Q:
        key = key_of(read_reference(value, kind) or value)
        return NOBODY if key is None else Q(**{column: key})

    return condition


def actor(columns: Mapping[str, str]) -> Condition:
    """A reference that may be to one of several kinds, each in a column of its own."""

    def condition(site: Site, value: str) -> Q:
        if value.isdigit():
            raise BadValue(f"names the type too, as {next(iter(columns))}/{value[:20]}")
        return any_of(
            Q(**{column: key})
            for kind, column in columns.items()
            for key in [key_of(read_reference(value, kind) or "")]
            if key is not None
        )

    return condition


def missing(lacking: Q) -> Condition:
    """`:missing`: `true` finds the rows that `lacking` describes, `false` all others."""

    def condition(site: Site, value: str) -> Q:
        if value not in ("true", "false"):
            raise BadValue("takes true or false with :missing")
        return lacking if value == "true" else ~lacking

    return condition


def text_begins(column: str) -> Condition:
    """Words that begin a text, whatever their case."""
    return lambda site, value: Q(**{f"{column}__istartswith": value})


def text_is(*columns: str) -> Condition:
    """`:exact`: one of the columns says just this, case and accents too."""
    return lambda site, value: any_of(Q(**{column: value}) for column in columns)


def text_holds(column: str) -> Condition:
    """`:contains`: words anywhere in a text, whatever their case."""
    return lambda site, value: Q(**{f"{column}__icontains": value})


def folded_holds(column: str) -> Condition:
    """`:contains` of a folded text: case and accents count for nothing."""
    return lambda site, value: Q(**{f"{column}__contains": folded(value)})


def name_begins(column: str = "name_folded", *, first: bool = False) -> Condition:
    """Words that begin a part of a folded name; `first` its first part, the family name."""

    def condition(site: Site, value: str) -> Q:
        word = folded(value)
        begins = Q(**{f"{column}__startswith": word})
        return begins if first else begins | Q(**{f"{column}__contains": f" {word}"})

    return condition


def given_begins(site: Site, value: str) -> Q:
    """Words that begin any given name. Accents count where the family name has several words, for then the folded name does not tell them apart."""
    word = folded(value)
    stands = Q(name_folded__contains=f" {word}") | Q(name_folded__startswith=word)
    begins = Q(given__istartswith=value) | Q(middle__istartswith=value)
    one_word = Q(name_folded__contains=f" {word}") & ~Q(family__contains=" ")
    return stands & (begins | one_word)


_DATE = re.compile(
    r"(eq|ne|ge|le|gt|lt|sa|eb|ap)?(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:(T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d))?"
)
END_OF_TIME = datetime(MAXYEAR, 12, 30, tzinfo=UTC)
"""The last moment that can be told on every wall on earth."""

DATE_WORDS = "takes a day, or a time with its offset, such as ge2026-03-02"


def bounds_of(value: str, zone: str) -> tuple[str, datetime, datetime]:
    """How a date compares, and the half-open time it names: a day, month or year is the site's (§3.1.1.4.7)."""
    found = _DATE.fullmatch(value.strip().replace(" ", "+"))
    try:
        if found is None:
            raise ValueError
        how, year, month, day, wall, offset = found.groups()
        if wall:
            at = datetime.fromisoformat(f"{year}-{month}-{day}{wall}{offset.replace('Z', '+00:00')}")
            finest = timedelta(microseconds=1) if "." in wall else timedelta(seconds=1)
            return (
                how or "eq",
                at.astimezone(UTC),
                at + (finest if wall.count(":") == 2 else timedelta(minutes=1)),
            )
        first = date(int(year), int(month or 1), int(day or 1))
        if first.year == MAXYEAR:  # "for ever" in many an EHR; nothing here comes after it
            begins = datetime(MAXYEAR, first.month, first.day, tzinfo=UTC)
            return how or "eq", min(begins, END_OF_TIME), END_OF_TIME
        after = first + timedelta(days=1) if day else _next(first, months=1 if month else 12)
        return how or "eq", clock.day_bounds(first, zone)[0], clock.day_bounds(after, zone)[0]
    except (ValueError, OverflowError, AttributeError):
        raise BadValue(DATE_WORDS) from None


def _next(first: date, *, months: int) -> date:
    return (
        first.replace(year=first.year + 1)
        if months == 12 or first.month == 12
        else first.replace(month=first.month + 1)
    )


def compared(value: str, zone: str) -> tuple[tuple[str, datetime], ...]:
    """A date as comparisons (`gte`, `lt`) that all hold; one that must not hold is `not`."""
    how, first, after = bounds_of(value, zone)
    match how:
        case "ge":
            return (("gte", first),)
        case "gt" | "sa":
            return (("gte", after),)
        case "le":
            return (("lt", after),)
        case "lt" | "eb":
            return (("lt", first),)
        case _:
            return (("gte", first), ("lt", after))


def _all_hold(value: str, zone: str, one: Callable[[str, datetime], Q]) -> Q:
    whole = Q()
    for comparison, at in compared(value, zone):
        whole &= one(comparison, at)
    return ~whole if value.startswith("ne") else whole


def moment(column: str) -> Condition:
    """A time."""
    return lambda site, value: _all_hold(
        value, site.timezone, lambda comparison, at: Q(**{f"{column}__{comparison}": at})
    )


def day(column: str) -> Condition:
    """A date without a time."""

    def condition(site: Site, value: str) -> Q:
        return _all_hold(
            value,
            "UTC",
            lambda comparison, at: Q(**{f"{column}__{comparison}": at.date()}),
        )

    return condition


def moment_of(rows: Callable[[Site], QuerySet[Model]], column: str, joined: str) -> Condition:
    """The earliest time of some other rows, whose column `joined` names this one.

    One of them lies in the time, found by an index on it, and none before it.
    """

    def condition(site: Site, value: str) -> Q:
        compared_with = compared(value, site.timezone)
        within = rows(site).filter(**{f"{column}__{how}": at for how, at in compared_with})
        whole = Q(pk__in=within.order_by().values(joined))
        for how, at in compared_with:
            if how == "gte":
                whole &= ~Q(Exists(rows(site).filter(**{joined: OuterRef("pk"), f"{column}__lt": at})))
        return ~whole if value.startswith("ne") else whole

    return condition


def updated(kind: str, model: type[Model], *, facts: str, by: str, made: str) -> Condition:
    """`_lastUpdated`: by the facts that tell of a row of `model` (`facts` names their column, `by` the row's), and by what was sent.

    `made` is when the row was made, for what no fact tells of. A union of looks into indexes, for the same reason
    as in `exam_identifier`.
    """

    def condition(site: Site, value: str) -> Q:
        rows = model._default_manager.filter(site=site).order_by().values("pk")
        nobody = None if facts == "patient" else ""

        def one(comparison: str, at: datetime) -> Q:
            told = Fact.objects.filter(site=site, recorded_at__gte=at).exclude(**{facts: nobody})
            sent = SentResource.objects.filter(site=site, kind=kind, at__gte=at).values("key")
            later = rows.filter(**{f"{by}__in": told.values(facts)}).union(
                rows.filter(**{f"{made}__gte": at}), sent
            )
            return Q(pk__in=later) if comparison == "gte" else ~Q(pk__in=later)

        return _all_hold(value, site.timezone, one)

    return condition


def last_told(kind: str, *, facts: str, by: str, made: str) -> Combinable:
    """When something was last told of a row, to sort by; the arguments are those of `updated`."""
    told = Fact.objects.filter(site=OuterRef("site"), **{facts: OuterRef(by)}).order_by().values(facts)
    sent = SentResource.objects.filter(site=OuterRef("site"), kind=kind, key=OuterRef("pk")).values("at")
    # GREATEST of PostgreSQL passes over what is not there.
    return Greatest(F(made), Subquery(told.annotate(last=Max("recorded_at")).values("last")), Subquery(sent))


def patient_identifier(column: str = "pk") -> Condition:
    """A patient's number; `column` holds the patient's key."""

    def condition(site: Site, value: str) -> Q:
        system, number = token_of(value)
        numbers = PatientIdentifier.objects.filter(site=site)
        if number or not system:
            numbers = numbers.filter(value=number)
        if system is not None:
            numbers = numbers.filter(authority=authority_here(site, system))
        return Q(**{f"{column}__in": numbers.values("patient")})

    return condition


def typed_number(text: str) -> tuple[str, str]:
    """`:of-type`: the type of a number (HL7 table 0203) and the number, `system|code|number` (§3.1.1.4.5). Raises BadValue.

    The type is empty where it is of another table: no number here has one.
    """
    system, _, rest = text.partition("|")
    kind, bar, number = rest.partition("|")
    if not (kind and bar and number):
        raise BadValue("takes system|code|number with :of-type")
    return (kind if system in ("", V2_IDENTIFIER_TYPE) else ""), number


def patient_identifier_of_type(column: str = "pk") -> Condition:
    """A patient's number of a type; `column` holds the patient's key."""

    def condition(site: Site, value: str) -> Q:
        kind, number = typed_number(value)
        numbers = PatientIdentifier.objects.filter(site=site, value=number, type=kind).exclude(type="")
        return Q(**{f"{column}__in": numbers.values("patient")})

    return condition


def exam_identifier_of_type(column: str = "pk") -> Condition:
    """A placer number (PLAC) or an accession number (ACSN) of an exam; `column` holds the exam's key."""

    def condition(site: Site, value: str) -> Q:
        kind, number = typed_number(value)
        exams = Exam.objects.filter(site=site).order_by().values("pk")
        match kind:
            case "PLAC":
                found = exams.filter(order__in=Order.objects.filter(site=site, placer=number))
            case "ACSN":
                found = exams.filter(accession=number)
            case _:
                return NOBODY
        return Q(**{f"{column}__in": found})

    return condition


def exam_identifier(column: str = "pk") -> Condition:
    """A number of an exam: placer, accession or study UID; `column` holds the exam's key."""

    def condition(site: Site, value: str) -> Q:
        system, number = token_of(value)
        uid = number.removeprefix(OID_PREFIX)
        exams = Exam.objects.filter(site=site).order_by().values("pk")
        placed = exams.filter(order__in=Order.objects.filter(site=site, placer=number))
        if system == DICOM_UID_SYSTEM or number != uid:
            found = exams.filter(study_instance_uid=uid)
        elif system:
            found = placed.filter(order__placer_authority=authority_of(system))
        elif system is not None:
            found = placed.filter(order__placer_authority="").union(exams.filter(accession=number))
        else:
            # A union of three looks into indexes; one condition with "or" would read every exam.
            found = placed.union(exams.filter(accession=number), exams.filter(study_instance_uid=number))
        return Q(**{f"{column}__in": found})

    return condition


def outer(column: str) -> dict[str, OuterRef]:
    """How rows of another table belong to this one."""
    return {column: OuterRef("pk")}
