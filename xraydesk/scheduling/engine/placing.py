"""Many exams put where a search says, all at once or not at all; and who of the porters does which way."""

from __future__ import annotations

from dataclasses import replace

from xraydesk.scheduling.engine.line import NEVER, NOBODY, Line
from xraydesk.scheduling.engine.state import Day, Jobs, Spot


def put_all(day: Day, spots: dict[int, Spot | None]) -> bool:
    """Move exams to where an exact search put them, where all of that is still free; else change nothing."""
    before = {i: day.take(i) for i in spots if day.room[i] >= 0}
    after = {i: spot for i, spot in spots.items() if spot is not None}
    others = _with_porters(day, after)
    done: list[int] = []
    if others is not None:
        for i in (i for i in day.in_order() if i in after):
            if not day.stands(i, after[i]):
                break
            day.put(i, after[i])
            done.append(i)
        else:
            return True
    for i in done:
        day.take(i)
    if others:
        day.change_jobs(others)
    for i in (i for i in day.in_order() if i in before):
        day.put(i, before[i])
    return False


def porter_groups(day: Day) -> list[list[int]]:
    """Porters who can take over any of each other's jobs without anybody being short of one.

    The same shifts; or one shift with the same end, whenever it begins.
    """
    groups: dict[object, list[int]] = {}
    for q, porter in enumerate(day.problem.porters or ()):
        key: object = porter.on if len(porter.on) != 1 else porter.on[0][1]
        groups.setdefault(key, []).append(q)
    return list(groups.values())


def _with_porters(day: Day, spots: dict[int, Spot]) -> dict[int, Jobs] | None:
    """Give each job of these exams a porter of its group, telling the group anew who does what.

    What others' jobs were before; None where it cannot be done.
    """
    if not day.porters_limited or not any(day.way[i] >= 0 for i in spots):
        return {}
    groups = porter_groups(day)
    group_of = {q: g for g, one in enumerate(groups) for q in one}
    others = [i for i in range(day.count) if day.room[i] >= 0 and day.way[i] >= 0]
    todo = []
    for i in others:
        fetcher, fetch, returner, back = day.jobs[i]
        todo += [(fetch, i, 0, group_of[fetcher])] if fetcher >= 0 else []
        todo += [(back, i, 2, group_of[returner])] if returner >= 0 else []
    for i, spot in spots.items():
        if day.way[i] >= 0:
            todo += [(spot.jobs[1], i, 0, spot.jobs[0]), (spot.jobs[3], i, 2, spot.jobs[2])]
    who = _told_anew(day, groups, sorted(todo))
    if who is None:
        return None

    def with_porter(i: int, jobs: Jobs) -> Jobs:
        return (who.get((i, 0), NOBODY), jobs[1], who.get((i, 2), NOBODY), jobs[3])

    for i, spot in spots.items():
        if day.way[i] >= 0:
            spots[i] = replace(spot, jobs=with_porter(i, spot.jobs))
    return day.change_jobs({i: with_porter(i, day.jobs[i]) for i in others})


def _told_anew(
    day: Day, groups: list[list[int]], todo: list[tuple[int, int, int, int]]
) -> dict[tuple[int, int], int] | None:
    """Who does each job (start, exam, way, group): in order of time, whoever of the group was busy last."""
    lines = [Line(p.on) for p in day.problem.porters or ()]
    last = [-NEVER] * len(lines)
    who = {}
    for start, i, k, g in todo:
        free = [q for q in groups[g] if day.can_go(lines[q], q, start, day.way[i])]
        if not free:
            return None
        q = who[i, k] = max(free, key=lambda q: last[q])
        if day.way[i]:
            lines[q].add(start, start + day.way[i], i)
            last[q] = start + day.way[i]
    return who
