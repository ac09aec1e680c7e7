"""Trying rules on simulated days: asked for on a page, run beside the desk, kept until others push it out."""

from __future__ import annotations

import base64
import json
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from django.db import transaction
from procrastinate.contrib.django import app as jobs

from xraydesk.access.models import Site
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.reporting.days import last_days
from xraydesk.simulation.aside import Question
from xraydesk.simulation.files import LOAD_PERCENT_MAX, read_policy, read_scenario
from xraydesk.simulation.learn import learn
from xraydesk.simulation.policy import Policy
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.problems import SiteFileErrors
from xraydesk.siteplan.reading import from_json
from xraydesk.trials import actions
from xraydesk.trials.models import Trial

M = TypeVar("M")

TRIAL_TASK = "run_trial"
TRIAL_QUEUE = "trials"
TRIAL_LOCK = "trial"
"""One trial runs at a time, whatever its site: the machine has other things to do."""

DAYS_MAX = 200
POLICIES_MAX = 8
FACTS_DAYS_MAX = 31
SEED_MAX = 2**31 - 1
SECONDS_MAX = 1800
"""A trial that takes longer is ended."""

TELL_SECONDS = 1.0
"""How often it is written down how far a trial is, and looked whether it was stopped."""


class TrialUnfit(Refused):
    """What was asked for cannot be tried: a file is not right, or a limit is passed."""


class TrialUnderWay(Refused):
    """The site has a trial under way already."""


class UnknownTrial(Refused):
    """There is no such trial here, or it is over."""


class TryAgain(Exception):
    """The process that runs trials is told to end: another begins this one anew."""


def ask_for_trial(
    *,
    site: Site,
    policies: Sequence[str],
    scenario: str,
    facts_days: int = 0,
    load_percent: int = 100,
    days: int,
    seed: int,
    at: datetime,
    by: str,
) -> Trial:
    """Ask for a run of so many days under each of some policies; it begins as soon as the worker is free for it.

    `policies` and `scenario` are texts of files. Raises TrialUnfit with what is wrong with them, and TrialUnderWay.
    """
    _within("days", days, 1, DAYS_MAX)
    _within("seed", seed, 0, SEED_MAX)
    _within("load", load_percent, 1, LOAD_PERCENT_MAX)
    _within("days learnt from", facts_days, 0, FACTS_DAYS_MAX)
    if not policies or len(policies) > POLICIES_MAX:
        raise TrialUnfit(f"Choose one to {POLICIES_MAX} ways to run the department.")
    plan = plan_of(site)
    read_policies(policies, plan)
    _read("what comes", partial(read_scenario, scenario, plan))
    with transaction.atomic():
        try:
            trial = actions.ask(
                site=site,
                policies=policies,
                scenario=scenario,
                facts_days=facts_days,
                load_percent=load_percent,
                days=days,
                seed=seed,
                at=at,
                by=by,
            )
        except actions.OneUnderWay:
            raise TrialUnderWay("A trial is under way already: wait for it, or stop it.") from None
        jobs.configure_task(TRIAL_TASK, queue=TRIAL_QUEUE, lock=TRIAL_LOCK).defer(trial_id=trial.pk)
    return trial


def stop_trial(*, site: Site, trial_id: int, at: datetime, by: str) -> Trial:
    """Nobody waits for the trial any more: its process ends within seconds. Raises UnknownTrial."""
    stopped = (
        actions.stop(trial_id=trial_id, at=at, by=by)
        if Trial.objects.filter(site=site, pk=trial_id).exists()
        else None
    )
    if stopped is None:
        raise UnknownTrial("That trial is over already.")
    return stopped


def plan_of(site: Site) -> SitePlan:
    """The department as its site file has it. Raises TrialUnfit where none is loaded."""
    if not site.plan:
        raise TrialUnfit("No site file is loaded, so that there is no department to try anything on.")
    return from_json(site.plan)


def read_policies(texts: Sequence[str], plan: SitePlan) -> tuple[Policy, ...]:
    """The policies that some texts describe. Raises TrialUnfit, too where two have one name."""
    found = tuple(_read("a policy", partial(read_policy, text, plan)) for text in texts)
    names = [p.name for p in found]
    for name in names:
        if names.count(name) > 1:
            raise TrialUnfit(f"Two policies have the name “{name}”: give each its own.")
    return found


def _read(what: str, read: Callable[[], M]) -> M:
    try:
        return read()
    except SiteFileErrors as errors:
        first, more = errors.errors[0], len(errors.errors) - 1
        also = f" ({more} more like it)" if more else ""
        raise TrialUnfit(f"The file for {what} is not right: {first}{also}.") from None


def _within(what: str, number: int, lowest: int, highest: int) -> None:
    if not lowest <= number <= highest:
        raise TrialUnfit(f"{what.capitalize()}: {lowest} to {highest}, please.")


# -- running it ------------------------------------------------------------------------------------


def run_trial(*, trial_id: int, now: Callable[[], datetime], leave: Callable[[], bool]) -> None:
    """Run a trial in a process of its own, until it is done, stopped, or has taken too long.

    `leave` is asked every second whether whoever runs it is to end; then TryAgain is raised, and it begins anew
    elsewhere. May run twice: a trial that is over is left alone.
    """
    trial = actions.begin(trial_id=trial_id)
    if trial is None:
        return
    try:
        question = _question(trial, at=now())
    except TrialUnfit as why:
        actions.fail(trial_id=trial_id, why=str(why), at=now())
        return
    with closing(_answers(question)) as answers:
        found = _watched(trial, answers, now=now, leave=leave)
    if found is not None:
        actions.finish(
            trial_id=trial_id,
            report=found["report"],
            charts=found["charts"],
            workbook=base64.b64decode(found["workbook"]),
            at=now(),
        )


def _watched(
    trial: Trial,
    answers: Iterator[dict[str, Any] | None],
    *,
    now: Callable[[], datetime],
    leave: Callable[[], bool],
) -> dict[str, Any] | None:
    """What a run has found at its end; None where there is nothing to keep: it was stopped, took too long, or ended by itself."""
    until, days = now() + timedelta(seconds=SECONDS_MAX), 0
    for line in answers:
        if leave():
            raise TryAgain
        if now() > until:
            actions.fail(trial_id=trial.pk, why=_TOO_LONG, at=now())
            return None
        if line is not None and "report" in line:
            return line
        days = line["done"] if line is not None else days
        if not actions.days_are_done(trial_id=trial.pk, days=days):
            return None
    actions.fail(trial_id=trial.pk, why="The run ended by itself. Try again.", at=now())
    return None


_TOO_LONG = f"It took longer than {SECONDS_MAX // 60} minutes. Try fewer days, or fewer policies."


def _question(trial: Trial, *, at: datetime) -> Question:
    """What is run: the files as they were given, on the department as it is now."""
    site = trial.site
    plan = plan_of(site)
    policies = read_policies(trial.policies, plan)
    scenario = _read("what comes", partial(read_scenario, trial.scenario, plan))
    if trial.facts_days:
        yesterday = clock.local_day(at, site.timezone) - timedelta(days=1)
        found = last_days(site=site, day=yesterday, count=trial.facts_days, at=at)
        told = learn(found.found, plan, scenario, days=found.all)
        scenario = told.scenario
        actions.learnt(
            trial_id=trial.pk, words="; ".join(told.words) or "nothing: too little was seen in those days"
        )
    return Question(
        site=plan,
        scenario=replace(scenario, load_percent=trial.load_percent),
        policies=policies,
        days=trial.days,
        seed=trial.seed,
    )


def _answers(question: Question) -> Generator[dict[str, Any] | None]:
    """The newest line of the process at most once in TELL_SECONDS, None where it said nothing; its last line always.

    The process ends when the generator is closed.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "xraydesk.simulation.aside"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    Thread(target=_pass_on, args=(process, question.as_bytes(), lines), daemon=True).start()
    try:
        while True:
            newest, over = _newest(lines)
            if newest is not None or not over:
                yield json.loads(newest) if newest is not None else None
            if over:
                return
    finally:
        process.kill()
        process.wait()


def _pass_on(process: subprocess.Popen[bytes], asked: bytes, lines: queue.SimpleQueue[bytes | None]) -> None:
    """Puts the question to the process and its lines into a queue, None when there are no more."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with process.stdout as stdout:
            with process.stdin as stdin:
                stdin.write(asked)
            for line in stdout:
                lines.put(line)
    except BrokenPipeError:  # it ended before it was asked: whoever listens is told that there is no answer
        pass
    finally:
        lines.put(None)


def _newest(lines: queue.SimpleQueue[bytes | None]) -> tuple[bytes | None, bool]:
    """What was said last within TELL_SECONDS, and whether that was all."""
    newest, over = None, False
    until = time.monotonic() + TELL_SECONDS
    while not over and (left := until - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        newest, over = (line, False) if line is not None else (newest, True)
    return newest, over
