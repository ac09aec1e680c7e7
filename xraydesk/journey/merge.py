"""Two records turn out to be of one person, or a stay of another: everything that hangs on them follows, and can go back.

A merge moves orders, exams, places, porters' jobs, notices, stays, alerts and who pays; steps, images,
dose, reports and charges hang on the exam and go with it. No number of an exam changes, so
worklist, MPPS and images in transit go on as they are. What went over is written down
(`patients.models.Merge`), and undoing gives back just that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import or_

from django.db import transaction
from django.db.models import Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.errors import (
    IncompleteOrder,
    NoPatientNumber,
    PatientConflict,
    PersonDecides,
    SamePatient,
    UnknownMerge,
)
from xraydesk.journey.hand_over import Teller, hand_over, join, part, tell_of_merge
from xraydesk.journey.performing import lock_exams
from xraydesk.journey.policy import identifier_authority
from xraydesk.journey.receive import find_patient
from xraydesk.lib import locks
from xraydesk.orders import actions as orders
from xraydesk.patients import actions as patients
from xraydesk.patients import merges
from xraydesk.patients.demographics import Demographics, Identifier
from xraydesk.patients.merge_rules import (
    Identity,
    LinkWay,
    MergeKind,
    MergeNews,
    NumberWay,
    Owner,
    Way,
    are_alike,
    link_way,
    moved_numbers,
    number_way,
    staying,
    way_of,
)
from xraydesk.patients.models import Merge, Patient, PatientIdentifier
from xraydesk.patients.rules import identifiers_that_count, what_lacks


@dataclass(frozen=True)
class Merged:
    """The record that stays, and what was done: empty where it was so before."""

    patient: Patient
    merges: tuple[Merge, ...] = ()
    changed: int = 0
    """Rows that only got another number."""

    @property
    def is_new(self) -> bool:
        """False where nothing changed."""
        return bool(self.merges or self.changed)


def receive_merge(
    *,
    site: Site,
    news: MergeNews,
    link: str,
    at: datetime,
    by: str,
    why: str,
    simulated: bool = False,
) -> Merged:
    """Do what a sender says of records or stays, in one transaction; repeated, it changes nothing (row 19 of the faults).

    Raises SamePatient for a merge into itself or in a circle (row 18), PersonDecides where the
    records stand otherwise than the sender believes, PatientConflict, and IncompleteOrder
    where a number is missing.
    """
    told = Teller(site, link, at, by, why, simulated)
    authority = identifier_authority(site, link)
    given = identifiers_that_count(news.patient.identifiers, authority=authority)
    prior = identifiers_that_count(news.prior, authority=authority)
    with transaction.atomic():
        _lock(site, [*given, *prior])
        match news.kind:
            case MergeKind.MERGE | MergeKind.RENUMBER:
                return _merge(news, given, prior, told)
            case MergeKind.UNLINK:
                return _unlink(given, prior, told)
            case MergeKind.LINK:
                return _link(news, given, prior, told)
            case MergeKind.MOVE_NUMBERS:
                return _move_numbers(news, given, prior, told)
            case MergeKind.MOVE_VISIT | MergeKind.MOVE_ACCOUNT:
                return _move(news, given, prior, told)
            case MergeKind.RENUMBER_VISIT | MergeKind.RENUMBER_ACCOUNT:
                return _renumber(news, told)


def _lock(site: Site, identifiers: Sequence[Identifier]) -> None:
    """Wait for whoever writes to one of these records under any of its numbers, and hold them all."""
    found = merges.owners(site=site, identifiers=identifiers)
    keys = {key for owner in found.values() for key in (owner.key, owner.stands)}
    names = patients.lock_names(site_id=site.pk, identifiers=[*identifiers, *merges.numbers_of(keys)])
    locks.take(names)
    merges.lock_records(keys)


def _merge(
    news: MergeNews, given: tuple[Identifier, ...], prior: tuple[Identifier, ...], told: Teller
) -> Merged:
    if not prior:
        raise IncompleteOrder("The message names no number that goes (MRG-1): nothing was changed.")
    kept = staying(given, prior)
    if not kept:
        raise SamePatient("The number that stays is the number that goes: nothing was changed.")
    before = merges.owners(site=told.site, identifiers=[*kept, *prior])
    going = {(p.authority, p.value): before.get((p.authority, p.value)) for p in prior}
    known = {owner for owner in going.values() if owner is not None}
    if news.kind is MergeKind.RENUMBER and known and not any(_key(k) in before for k in kept):
        kept = (*kept, *(p for p in prior if _key(p) in before))  # the same person gets a number more
    stays = _find(replace(news.patient, identifiers=kept), told)
    owner = _owner_of(stays, kept, before)
    done: list[Merge] = []
    missing = [p for p in prior if going[_key(p)] is None]
    if missing:
        empty = merges.empty_record(site=told.site, identifiers=missing, at=told.at, simulated=told.simulated)
        done.append(join(stays, empty, told))
    for one in sorted(known, key=lambda o: o.key):
        if news.kind is MergeKind.RENUMBER and way_of(owner, one) is Way.JOIN:
            raise PersonDecides(
                "The new number is of one record here and the old one of another: nothing was changed. "
                "Compare the two; if they are one patient, make them one."
            )
        mine = [p for p in prior if going[_key(p)] == one]
        merge = _go(stays, owner, one, mine, told)
        done += [merge] if merge else []
    return Merged(stays, tuple(done))


def _key(number: Identifier) -> tuple[str, str]:
    return number.authority, number.value


def _owner_of(stays: Patient, kept: Sequence[Identifier], before: dict[tuple[str, str], Owner]) -> Owner:
    """The record that the numbers that stay were on before this message; a new one where they were unknown."""
    named = [before[_key(k)] for k in kept if _key(k) in before]
    went = next((owner for owner in named if owner.into is not None), None)
    return went if went and all(o.into is not None for o in named) else Owner(stays.pk)


def _find(said: Demographics, told: Teller) -> Patient:
    try:
        return find_patient(
            site=told.site, said=said, link=told.link, at=told.at, by=told.by, simulated=told.simulated
        )
    except patients.NoIdentifier:
        raise NoPatientNumber(
            f"The message was not taken: its patient {what_lacks(said.identifiers)}."
        ) from None


def _go(stays: Patient, owner: Owner, goes: Owner, numbers: list[Identifier], told: Teller) -> Merge | None:
    """Let one record go into another, or retire a number of its own; None where that was done before."""
    match way_of(owner, goes):
        case Way.DONE:
            return None
        case Way.CIRCLE:
            raise SamePatient(
                "The record that is to stay went into the one that is to go: nothing was changed. "
                "If that was wrong, part them on the patient's page first."
            )
        case Way.ELSEWHERE:
            raise PersonDecides(
                "The record that is to go went into a third one: nothing was changed. Compare the three."
            )
        case Way.RETIRE:
            empty = merges.empty_record(site=told.site, identifiers=(), at=told.at, simulated=told.simulated)
            merges.lock_records([empty.pk])
            handed = merges.give_numbers(from_=stays, to=empty, identifiers=numbers)
            return join(stays, empty, told, identifiers=handed)
        case Way.JOIN:
            return join(stays, merges.lock_records([goes.key])[goes.key], told)


def _unlink(given: tuple[Identifier, ...], prior: tuple[Identifier, ...], told: Teller) -> Merged:
    """A sender takes back that two numbers are of one person: undo the merge that made them so."""
    found = merges.owners(site=told.site, identifiers=[*given, *prior])
    one = {found[_key(n)] for n in given if _key(n) in found}
    other = {found[_key(n)] for n in prior if _key(n) in found}
    keys = {o.key for o in one | other}
    standing = Merge.objects.filter(site=told.site, whole=True, undone_at=None)
    stands = {o.stands for o in one | other}
    merge = standing.filter(goes__in=keys, stays__in=keys).first()
    if merge is None and len(stands) == 1:
        merge = _linked(standing, [*given, *prior], told)
    if merge is not None:
        part(merge, told)
        return Merged(Patient.objects.get(pk=merge.stays_id), (merge,))
    if len(one) == len(other) == 1 and len(stands) == 2:
        return Merged(Patient.objects.get(pk=one.pop().stands))  # two records already
    raise PersonDecides("These numbers were not made one here: nothing was changed. Compare the records.")


def _linked(standing: QuerySet[Merge], identifiers: Sequence[Identifier], told: Teller) -> Merge | None:
    """The merge by which one of some numbers came to the record that it is used with; the newest."""
    rows = PatientIdentifier.objects.filter(site=told.site, value__in=[i.value for i in identifiers])
    wanted = {_key(i) for i in identifiers}
    brought = [Q(moved__numbers__contains=[n.pk]) for n in rows if (n.authority, n.value) in wanted]
    return standing.filter(reduce(or_, brought)).order_by("-id").first() if brought else None


def _link(
    news: MergeNews, given: tuple[Identifier, ...], prior: tuple[Identifier, ...], told: Teller
) -> Merged:
    """A sender says that the numbers of two PID are of one person; both sets of numbers go on being used."""
    if not given or not prior:
        raise IncompleteOrder("The message does not name both patients by a number: nothing was changed.")
    found = merges.owners(site=told.site, identifiers=[*given, *prior])
    one, other = ({found[_key(n)].stands for n in side if _key(n) in found} for side in (given, prior))
    records = merges.lock_records(one | other)
    identities = [Identity(r.name_folded, r.birth_date, r.sex) for r in records.values()]
    way = link_way(
        one,
        other,
        alike=len(identities) == 2 and are_alike(*identities),
        same_issuer=bool({n.authority for n in given} & {n.authority for n in prior}),
    )
    match way:
        case LinkWay.DONE:
            return Merged(records[one.pop()])
        case LinkWay.JOIN:
            stays = records[one.pop()]
            return Merged(stays, (join(stays, records[other.pop()], told, keeps_numbers=True),))
        case LinkWay.MORE_NUMBERS:
            known = one or other
            numbers = given if other else prior
            stays = records[known.pop()] if known else _find(replace(news.patient, identifiers=given), told)
            return Merged(stays, (_take_numbers(stays, numbers, told),))
        case LinkWay.PERSON:
            raise PersonDecides(
                "These numbers are of one person, the sender says, and of several records here: nothing was changed. "
                "Compare the records; if they are one patient, make them one."
            )


def _take_numbers(stays: Patient, numbers: Sequence[Identifier], told: Teller) -> Merge:
    """Let a record be found by numbers that never came here, so that it can be taken back."""
    empty = merges.empty_record(site=told.site, identifiers=numbers, at=told.at, simulated=told.simulated)
    return join(stays, merges.lock_records([empty.pk])[empty.pk], told, keeps_numbers=True)


def _move_numbers(
    news: MergeNews, given: tuple[Identifier, ...], prior: tuple[Identifier, ...], told: Teller
) -> Merged:
    """A number was given to the wrong person: it is of another one now, with all that can only be theirs."""
    if not prior:
        raise IncompleteOrder("The message names no number that goes over (MRG-1): nothing was changed.")
    going, to = moved_numbers(given, prior)
    if not to:
        raise PersonDecides(
            "The message does not say whose the number is now (PID-3 names no other number of that patient): "
            "nothing was changed. Ask the sender, and compare the records."
        )
    found = merges.owners(site=told.site, identifiers=[*going, *to])
    sources = {found[_key(n)].stands for n in going if _key(n) in found}
    targets = {found[_key(n)].stands for n in to if _key(n) in found}
    if len(sources) > 1 or len(targets) > 1:
        raise PersonDecides("The numbers are of several records here: nothing was changed. Compare them.")
    stays = _find(replace(news.patient, identifiers=to), told)
    if not sources:
        return Merged(stays, (_take_numbers(stays, going, told),))
    source = merges.lock_records(sources)[sources.pop()]
    if source.pk == stays.pk:
        return Merged(stays)
    left = {_key(n) for n in merges.numbers_of([source.pk])} - {_key(n) for n in going}
    match number_way(
        has_others=bool(left),
        has_more=source.visits.exists() or bool(orders.orders_to_move(patient=source)[0]),
    ):
        case NumberWay.ALL:
            return Merged(stays, (join(stays, source, told, keeps_numbers=True),))
        case NumberWay.NUMBER:
            numbers = merges.give_numbers(from_=source, to=stays, identifiers=going)
            merge = merges.write_merge(
                stays=stays,
                goes=source,
                whole=False,
                moved={"numbers": numbers},
                why=told.why,
                at=told.at,
                by=told.by,
            )
            tell_of_merge(FactKind.NUMBER_MOVED, merge, exams=0, told=told)
            return Merged(stays, (merge,))
        case NumberWay.PERSON:
            raise PersonDecides(
                "The record that the number goes from has other numbers too, and exams or stays: nothing was changed. "
                "Decide which of them are whose."
            )


def _move(
    news: MergeNews, given: tuple[Identifier, ...], prior: tuple[Identifier, ...], told: Teller
) -> Merged:
    """A stay, or all stays of an account, was written down for the wrong person: it goes over with its orders."""
    is_visit = news.kind is MergeKind.MOVE_VISIT
    before = news.prior_visit if is_visit else news.prior_account
    if not before or not prior:
        raise IncompleteOrder(
            f"The message does not say which {'visit (MRG-5)' if is_visit else 'account (MRG-3)'} goes over, "
            "or from whom (MRG-1): nothing was changed."
        )
    stays = _find(replace(news.patient, identifiers=given or news.patient.identifiers), told)
    found = merges.owners(site=told.site, identifiers=prior)
    sources = {owner.stands for owner in found.values()}
    if len(sources) > 1:
        raise PatientConflict("The numbers in MRG-1 are of several patients here: nothing was changed.")
    if not sources or sources == {stays.pk}:
        return Merged(stays, changed=_renumbered(stays, news))
    goes = merges.lock_records(sources)[sources.pop()]
    which = {"visit": before} if is_visit else {"account": before}
    order_keys, exam_keys = orders.orders_to_move(patient=goes, **which)
    visits = merges.give_visit(from_=goes, to=stays, numbers=[before], accounts=() if is_visit else [before])
    if not order_keys and not visits:
        return Merged(stays, changed=_renumbered(stays, news))
    hand_over(order_keys, exam_keys, from_=goes, to=stays, told=told)
    merge = merges.write_merge(
        stays=stays,
        goes=goes,
        whole=False,
        moved={"orders": order_keys, "exams": exam_keys, "visits": visits},
        why=told.why,
        at=told.at,
        by=told.by,
    )
    tell_of_merge(FactKind.STAY_MOVED, merge, exams=len(exam_keys), told=told)
    return Merged(stays, (merge,), changed=_renumbered(stays, news))


def _renumber(news: MergeNews, told: Teller) -> Merged:
    missing = not (news.prior_visit if news.kind is MergeKind.RENUMBER_VISIT else news.prior_account)
    if missing:
        raise IncompleteOrder("The message does not say which visit or account goes (MRG-5, MRG-3).")
    patient = _find(news.patient, told)
    return Merged(patient, changed=_renumbered(patient, news))


def _renumbered(patient: Patient, news: MergeNews) -> int:
    """Give a stay or an account its new number, where the message brings another one; the rows changed."""
    visit = news.patient.visit
    changed = 0
    if news.prior_visit and visit.number and visit.number != news.prior_visit:
        changed += merges.renumber_visit(patient=patient, before=news.prior_visit, after=visit.number)
        changed += orders.renumber_visit(patient=patient, before=news.prior_visit, after=visit.number)
    if news.prior_account and visit.account and visit.account != news.prior_account:
        if not news.prior_visit:  # a stay without a number of its own goes by its account
            changed += merges.renumber_visit(patient=patient, before=news.prior_account, after=visit.account)
            changed += orders.renumber_visit(patient=patient, before=news.prior_account, after=visit.account)
        changed += merges.renumber_account(patient=patient, before=news.prior_account, after=visit.account)
        changed += orders.renumber_account(patient=patient, before=news.prior_account, after=visit.account)
    return changed


def hold_records(*, site: Site, patients: Iterable[int], exams: Iterable[int]) -> None:
    """Hold some records and exams of them, in the order in which everybody takes them, before both change at once."""
    keys = set(patients)
    _lock(site, merges.numbers_of(keys))
    merges.lock_records(keys)
    lock_exams(exams)


def merge_by_hand(
    *, site: Site, stays_id: int, goes_id: int, at: datetime, by: str, why: str = "a person made them one"
) -> Merge:
    """A person says that two records are of one patient. Raises SamePatient, PersonDecides and UnknownMerge."""
    with transaction.atomic():
        found = {p.pk: p for p in Patient.objects.filter(site=site, pk__in=[stays_id, goes_id])}
        if len(found) != 2:
            raise UnknownMerge("There are no two such records here.")
        _lock(site, merges.numbers_of(found))
        records = merges.lock_records(found)
        told = Teller(site, "", at, by, why, records[stays_id].simulated)
        stays, goes = (Owner(p.pk, p.merged_into_id) for p in (records[stays_id], records[goes_id]))
        if stays.into is not None:
            raise PersonDecides("The record that is to stay went into another one: merge into that one.")
        merge = _go(records[stays_id], stays, goes, [], told) if goes.into is None else None
        if merge is None:
            raise PersonDecides("That record went into another one already: nothing was changed.")
        return merge


def undo_merge(*, merge_id: int, at: datetime, by: str) -> Merge:
    """Part two records again, or give a stay back: all that went over returns, what came since stays. One transaction.

    Raises UnknownMerge, PersonDecides where an exam that would go back has got an order that would not, and
    WrongState where it was undone before.
    """
    with transaction.atomic():
        merge = Merge.objects.select_related("site", "stays", "goes").filter(pk=merge_id).first()
        if merge is None:
            raise UnknownMerge("There is no such merge here.")
        _lock(merge.site, merges.numbers_of([merge.stays_id, merge.goes_id]))
        part(merge, Teller(merge.site, "", at, by, "parted again", merge.stays.simulated))
        return merge
