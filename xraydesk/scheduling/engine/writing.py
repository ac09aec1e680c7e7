"""Writing a problem as JSON in the format `xraydesk.plan/1`; `reading` makes the same problem of it again."""

from __future__ import annotations

from typing import Any

from xraydesk.scheduling.engine.problem import Exam, Problem
from xraydesk.scheduling.engine.reading import PROBLEM_FORMAT


def problem_as_json(problem: Problem) -> dict[str, Any]:
    """A problem as JSON values."""
    told: dict[str, Any] = {
        "format": PROBLEM_FORMAT,
        "start": problem.start.isoformat(),
        "now": problem.now,
        "rooms": [{"id": r.id, "open": [list(s) for s in r.open]} for r in problem.rooms],
        "travel": dict(problem.travel),
        "exams": [_exam(e) for e in problem.exams],
        "costs": {"unplanned": problem.unplanned_cost},
    }
    if problem.technologists is not None:
        told["technologists"] = [
            {"id": t.id, "on": [list(s) for s in t.on], "skills": sorted(t.skills)}
            for t in problem.technologists
        ]
    if problem.porters is not None:
        told["porters"] = [{"id": p.id, "on": [list(s) for s in p.on]} for p in problem.porters]
    return told


def _exam(exam: Exam) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": exam.id,
        "patient": exam.patient,
        "priority": exam.priority,
        "ready": exam.ready,
        "due": exam.due,
        "weight": exam.weight,
        "minutes": dict(exam.minutes),
        "cleaning": exam.cleaning,
        "skills": sorted(exam.skills),
        "from": exam.origin,
        "after": list(exam.after),
        "booked": None,
        "fixed": None,
    }
    if exam.booked:
        told["booked"] = {
            "room": exam.booked.room,
            "start": exam.booked.start,
            "technologist": exam.booked.technologist,
            "per_minute": exam.booked.per_minute,
            "per_room": exam.booked.per_room,
        }
    if exam.fixed:
        told["fixed"] = {
            "room": exam.fixed.room,
            "start": exam.fixed.start,
            "technologist": exam.fixed.technologist,
        }
    return told
