"""`xraydesk simulate`: a department in fast time, on files, without a database unless facts are asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, Home, put_json
from xraydesk.project.examples import example_file
from xraydesk.project.trouble import Trouble

if TYPE_CHECKING:
    from xraydesk.simulation.policy import Policy
    from xraydesk.simulation.report import Each, Report
    from xraydesk.simulation.scenario import Scenario
    from xraydesk.siteplan.plan import SitePlan

M = TypeVar("M")

DAYS = 20
FACTS_DAYS = 14
USUAL_POLICIES = ("first-come", "one-line", "priority", "xraydesk", "autopilot")
"""Files of `site/simulation` that are run where no policy is named; the first is what the others are compared with."""


@app.command()
def simulate(  # noqa: PLR0917 - one parameter a flag
    days: Annotated[int, typer.Option(min=1, max=5000, help="So many days, the first a Monday.")] = DAYS,
    policy: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A policy; several may be given. The first is what the others are compared with.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Where chance begins.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write report.json, .md, .html and .xlsx into this folder."),
    ] = None,
    site: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The department.", show_default="six rooms")
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What comes to it.", show_default="the demonstration's rates"),
    ] = None,
    load: Annotated[
        int | None,
        typer.Option(min=1, max=500, metavar="PERCENT", help="So much of the scenario's orders come."),
    ] = None,
    from_facts: Annotated[
        bool,
        typer.Option(
            "--from-facts",
            help="Learn the scenario from the last days of the desk in --home, and take its department.",
        ),
    ] = False,
    facts_days: Annotated[int, typer.Option(min=1, max=31, help="From so many whole days.")] = FACTS_DAYS,
    home: Home = None,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="So many days at once; the report is the same.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """A department in fast time: measures for each policy, side by side.

    The same seed gives the same patients to each policy, and the same report on any machine. No
    database is needed, unless facts are asked for.
    """
    scenario_file = scenario or example_file("simulation/day.toml")
    if from_facts:
        chosen, played = _learnt(site, scenario_file, home=home, days=facts_days)
    else:
        chosen = _site(site or example_file("hospital.toml"))
        played = _scenario(scenario_file, chosen)
    if load is not None:
        played = replace(played, load_percent=load)
    files = policy or [example_file(f"simulation/{name}.toml") for name in USUAL_POLICIES]
    policies = _policies(files, chosen)
    with _each(min(processes, days)) as each:
        from xraydesk.simulation.report import simulate as run

        report = run(chosen, played, policies, days=days, seed=seed, progress=_progress(), each=each)
    if out is not None:
        _write(out, report)
    if as_json:
        from xraydesk.simulation.report import as_json as data

        put_json(data(report))
    else:
        _print(report)


# -- reading ---------------------------------------------------------------------------------------


def _site(file: Path) -> SitePlan:
    from xraydesk.attention.kinds import ItemKind
    from xraydesk.siteplan.reading import read_toml

    return _read(file, lambda path: read_toml(path, item_kinds=[kind.value for kind in ItemKind]))


def _scenario(file: Path, site: SitePlan) -> Scenario:
    from xraydesk.simulation.files import read_scenario
    from xraydesk.siteplan.toml_file import text_of

    return _read(file, lambda path: read_scenario(text_of(path), site))


def _learnt(
    site: Path | None, scenario_file: Path, *, home: Path | None, days: int
) -> tuple[SitePlan, Scenario]:
    """The department of a desk, or of a file, and the scenario that the desk's facts tell of."""
    from datetime import timedelta

    from xraydesk.project.cli_desk import desk, site_of
    from xraydesk.simulation.learn import learn

    with desk(home):
        from xraydesk.lib import clock
        from xraydesk.reporting.days import last_days
        from xraydesk.siteplan.reading import from_json

        row = site_of(None)
        if not row.plan:
            raise Trouble("The desk has no site file loaded: load one with `xraydesk site load FILE`")
        plan = _site(site) if site else from_json(row.plan)
        now = clock.now()
        yesterday = clock.local_day(now, row.timezone) - timedelta(days=1)
        found = last_days(site=row, day=yesterday, count=days, at=now)
    told = learn(found.found, plan, _scenario(scenario_file, plan), days=found.all)
    print("Learnt: " + "; ".join(told.words or ("nothing, too little was seen",)) + ".", file=sys.stderr)
    return plan, told.scenario


def _policies(files: Sequence[Path], site: SitePlan) -> list[Policy]:
    from xraydesk.simulation.files import read_policy
    from xraydesk.simulation.report import POLICIES_MAX
    from xraydesk.siteplan.toml_file import text_of

    if len(files) > POLICIES_MAX:
        raise Trouble(f"At most {POLICIES_MAX} policies are compared at once.")
    found = [_read(file, lambda path: read_policy(text_of(path), site)) for file in files]
    names = [p.name for p in found]
    for name in names:
        if names.count(name) > 1:
            raise Trouble(f"Two policies have the name “{name}”: give each its own.")
    return found


def _read(file: Path, read: Callable[[Path], M]) -> M:
    from xraydesk.siteplan.problems import SiteFileErrors

    try:
        return read(file)
    except OSError as wrong:
        raise Trouble(f"{file} cannot be read: {wrong.strerror}") from None
    except SiteFileErrors as errors:
        raise Trouble("\n".join(f"{file}: {error}" for error in errors.errors)) from None


@contextmanager
def _each(processes: int) -> Iterator[Each]:
    """Doing one day after the other, or several at once in processes of their own."""
    if processes == 1:
        yield map
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield pool.map


# -- telling ---------------------------------------------------------------------------------------


def _progress() -> Callable[[int, int], None] | None:
    """One line on stderr that counts, where somebody watches."""
    if not sys.stderr.isatty():
        return None

    def told(done: int, of: int) -> None:
        print(f"\r{done} of {of} days", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return told


def _write(folder: Path, report: Report) -> None:
    from xraydesk.simulation.page import page
    from xraydesk.simulation.report import as_json, as_markdown
    from xraydesk.simulation.workbook import workbook

    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(as_json(report), ensure_ascii=False, indent=1) + "\n"
        (folder / "report.json").write_text(text, encoding="utf-8")
        (folder / "report.md").write_text(as_markdown(report), encoding="utf-8")
        (folder / "report.html").write_text(page(report), encoding="utf-8")
        (folder / "report.xlsx").write_bytes(workbook(report))
    except OSError as wrong:
        raise Trouble(f"{wrong.filename or folder} cannot be written: {wrong.strerror}") from None


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from xraydesk.project.cli_desk import TABLE_WIDTH
    from xraydesk.simulation.report import cell_text, load_words, more_text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for policy in report.policies:
        table.add_column(policy.name, justify="right")
    for row in report.rows:
        unit = f", {row.measure.unit}" if row.measure.unit else ""
        cells = [f"{cell_text(c)}\n{more_text(c)}" if c.more else cell_text(c) for c in row.cells]
        table.add_row(Text(row.measure.name + unit), *(Text(cell) for cell in cells))
    print(f"{report.site}: {report.scenario}. {report.days} days, seed {report.seed}.")
    for words in load_words(report):
        print(words)
    print(
        f"± is half of the 95 % interval; below it: how much more than “{report.policies[0].name}”, day by day."
    )
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else TABLE_WIDTH).print(table)
