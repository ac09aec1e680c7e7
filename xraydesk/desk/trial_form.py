"""What people choose when they try a rule: ready policies, a what-if in a few fields, or files of their own; read and checked."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from datetime import time
from typing import Any

from django import forms

from xraydesk.journey.trial import DAYS_MAX, FACTS_DAYS_MAX, SEED_MAX, TrialUnfit, read_policies
from xraydesk.lib.examples import find_example
from xraydesk.simulation.files import LOAD_PERCENT_MAX
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.toml_file import FILE_BYTES_MAX

READY = ("first-come", "one-line", "priority", "xraydesk", "autopilot")
"""Policies that come with the desk, in this order; what the others are compared with is the first that was chosen."""

CHOSEN_AT_FIRST = ("first-come", "xraydesk", "autopilot")
USUAL_DAYS = 20
USUAL_FACTS_DAYS = 14
USUAL_LOAD_PERCENT = 100


_NARROW = {"class": "in narrow"}


def _time(label: str, usual: str) -> forms.TimeField:
    widget = forms.TimeInput(attrs=_NARROW | {"type": "time"}, format="%H:%M")
    return forms.TimeField(label=label, initial=usual, required=False, widget=widget)


def _whole(label: str, lowest: int, highest: int, usual: int) -> forms.IntegerField:
    return forms.IntegerField(
        label=f"{label} ({lowest} to {highest})" if highest < SEED_MAX else label,
        min_value=lowest,
        max_value=highest,
        initial=usual,
        widget=forms.NumberInput(attrs=_NARROW),
    )


class TrialFields(forms.Form):
    """What is to be tried. Every field says what is wrong with it, beside itself."""

    ready = forms.MultipleChoiceField(
        label="Ways to run the department",
        required=False,
        initial=CHOSEN_AT_FIRST,
        widget=forms.CheckboxSelectMultiple,
    )
    more = forms.BooleanField(label="What if one more technologist came", required=False)
    more_from = _time("from", "10:00")
    more_to = _time("to", "14:00")
    hours = forms.BooleanField(label="What if a room had other hours", required=False)
    hours_room = forms.ChoiceField(label="room", required=False, widget=forms.Select(attrs=_NARROW))
    hours_from = _time("from", "06:00")
    hours_to = _time("to", "20:00")
    policy = forms.FileField(label="A policy file of your own", required=False)
    comes = forms.ChoiceField(
        label="Who comes",
        choices=[
            ("facts", "as this desk has seen"),
            ("usual", "as in the demonstration"),
            ("file", "as in the scenario file below"),
        ],
        widget=forms.RadioSelect,
        initial="facts",
    )
    facts_days = _whole("Days to learn from", 1, FACTS_DAYS_MAX, USUAL_FACTS_DAYS)
    scenario = forms.FileField(label="A scenario file", required=False)
    load_percent = _whole("How many of them come, in %", 1, LOAD_PERCENT_MAX, USUAL_LOAD_PERCENT)
    days = _whole("Days to run", 1, DAYS_MAX, USUAL_DAYS)
    seed = _whole("Seed", 0, SEED_MAX, 0)

    def __init__(self, *arguments: Any, plan: SitePlan, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.plan = plan
        self.offered = dict(_ready(plan))
        names = {name: read_policies([text], plan)[0].name for name, text in self.offered.items()}
        self.fields["ready"].choices = list(names.items())  # type: ignore[attr-defined]
        self.fields["hours_room"].choices = [(r.code, r.name) for r in plan.rooms]  # type: ignore[attr-defined]

    def policies(self) -> list[str]:
        """The texts of all policies that were chosen, in order. Raises TrialUnfit for a file that is no text."""
        data = self.cleaned_data
        texts = [self.offered[name] for name in READY if name in data["ready"]]
        if data["more"]:
            texts.append(_one_more(self.plan, data["more_from"], data["more_to"]))
        if data["hours"]:
            texts.append(_other_hours(data["hours_room"], data["hours_from"], data["hours_to"]))
        return [*texts, *([_text(data["policy"])] if data["policy"] else [])]

    def scenario_text(self) -> str:
        """The text of the scenario that was chosen, or that facts fill in. Raises TrialUnfit."""
        chosen = self.cleaned_data
        if chosen["comes"] == "file":
            return _text(chosen["scenario"])
        return _example("day")

    def learns_from_days(self) -> int:
        """From how many days of the desk the scenario is learnt; 0 where it is not."""
        return self.cleaned_data["facts_days"] if self.cleaned_data["comes"] == "facts" else 0

    def clean(self) -> dict[str, Any]:
        """Each what-if needs its fields, and the scenario its file."""
        data = dict(super().clean() or {})
        for name in ("more", "hours"):
            first, last = data.get(f"{name}_from"), data.get(f"{name}_to")
            if data.get(name) and (first is None or last is None or not _before(first, last)):
                self.add_error(f"{name}_to", "From a time to a later one, please.")
        if data.get("comes") == "file" and not data.get("scenario"):
            self.add_error("scenario", "Choose the file.")
        return data


def _before(first: time, last: time) -> bool:
    """Midnight at the end is the end of the day."""
    return first < last or last == time(0)


def _ready(plan: SitePlan) -> Iterable[tuple[str, str]]:
    """The policies that come with the desk, by name."""
    for name in READY:
        try:
            yield name, _example(name)
        except TrialUnfit:  # it was not installed: the others are offered all the same
            continue


def _example(name: str) -> str:
    found = find_example(f"simulation/{name}.toml")
    if found is None:
        raise TrialUnfit("The examples were not installed: choose files of your own.")
    return found.read_text(encoding="utf-8")


def _text(file: Any) -> str:
    raw: bytes = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise TrialUnfit(f"{file.name} is longer than {FILE_BYTES_MAX} bytes.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TrialUnfit(f"{file.name} is no text.") from None


def _one_more(plan: SitePlan, first: time, last: time) -> str:
    """A policy in which one more technologist, who can do what anybody here can, comes for some hours each day."""
    skills = sorted({skill for t in plan.technologists for skill in t.skills})
    code = "MORE"
    while any(t.code == code for t in plan.technologists):
        code += "1"
    return _what_if(
        f"one more technologist {first:%H:%M} to {last:%H:%M}",
        f"[[technologist]]\ncode = {json.dumps(code)}\nskills = {json.dumps(skills)}\n"
        f"shifts = {{ every = [{_span(first, last)}] }}\n",
    )


def _other_hours(room: str, first: time, last: time) -> str:
    """A policy in which a room is open for other hours, each day alike."""
    return _what_if(
        f"{room} open {first:%H:%M} to {last:%H:%M}",
        f"[[room]]\ncode = {json.dumps(room)}\nhours = {{ every = [{_span(first, last)}] }}\n",
    )


def _span(first: time, last: time) -> str:
    return f'"{first:%H:%M}-{last:%H:%M}"'


def _what_if(name: str, changes: str) -> str:
    text = f'[policy]\nname = {json.dumps("xraydesk, " + name)}\ndesk = "xraydesk"\n\n{changes}'
    tomllib.loads(text)  # it is ours: what is wrong with it would be a mistake of this module
    return text
