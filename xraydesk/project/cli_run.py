"""The commands that run the desk: `up`, and each of its processes by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, column, desk, put_list, site_of

Home = Annotated[
    Path | None, typer.Option(help="The folder that everything of this desk lives in.", show_default="./var")
]
Http = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Pages and FHIR.", show_default="127.0.0.1:8080")
]
Mllp = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="HL7 v2.", show_default="127.0.0.1:2575")]
Dicom = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="DICOM.", show_default="127.0.0.1:11112")
]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate, PEM, for pages in TLS.")]
TlsKey = Annotated[Path | None, typer.Option(help="Its private key, PEM.")]


@app.command()
def up(
    *,
    home: Home = None,
    http: Http = None,
    mllp: Mllp = None,
    dicom: Dicom = None,
    demo: Annotated[bool, typer.Option("--demo", help="A demonstration department, simulated.")] = False,
    demo_quiet: Annotated[
        bool,
        typer.Option("--demo-quiet", help="The demonstration without its simulated EHR, rooms and PACS."),
    ] = False,
    site: Annotated[Path | None, typer.Option(metavar="FILE", help="The department, as a site file.")] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Run everything on this machine; Ctrl-C stops it."""
    from xraydesk.project.supervisor import Wanted, supervise

    _take_flags(home=home, http=http, mllp=mllp, dicom=dicom, tls_cert=tls_cert, tls_key=tls_key)
    raise typer.Exit(supervise(Wanted(demo=demo or demo_quiet, quiet=demo_quiet, site_file=site)))


@app.command()
def web(home: Home = None, http: Http = None, tls_cert: TlsCert = None, tls_key: TlsKey = None) -> None:
    """Serve the pages and FHIR alone."""
    _run("web", home=home, http=http, tls_cert=tls_cert, tls_key=tls_key)


@app.command()
def mllp(home: Home = None, mllp: Mllp = None) -> None:
    """Listen for HL7 v2 messages alone."""
    _run("mllp", home=home, mllp=mllp)


@app.command()
def dicom(home: Home = None, dicom: Dicom = None) -> None:
    """Serve worklist, performed steps and image storage alone."""
    _run("dicom", home=home, dicom=dicom)


@app.command()
def worker(home: Home = None) -> None:
    """Do what follows from what happened, alone."""
    _run("worker", home=home)


@app.command()
def parties(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[log|pacs|inbox|fhir|reports|readers|porters|modalities|ehr]",
            help="The log, or one of them alone.",
        ),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Run the simulated parties of a demonstration that was started in this home; `log` tells what they did wrong."""
    if kind == "log":
        _parties_log(home, as_json=as_json)
        return
    from xraydesk.parties.run import KINDS, main, run_one
    from xraydesk.project.config import config
    from xraydesk.project.lifeline import hold_on
    from xraydesk.project.logs import configure_logs
    from xraydesk.project.trouble import Trouble

    _take_flags(home=home)
    if kind is not None and kind not in KINDS:
        raise Trouble(f"There is no simulated party {kind}: name one of {', '.join(KINDS)}")
    hold_on()
    configure_logs(f"parties-{kind}" if kind else "parties", config().home, config().log_level)
    try:
        if kind is None:
            main(config().home)
        else:
            run_one(kind, config().home)
    except FileNotFoundError as wrong:
        raise Trouble(
            f"No demonstration was started in {config().home}: `xraydesk up --demo` does"
        ) from wrong


def _parties_log(home: Path | None, *, as_json: bool) -> None:
    with desk(home):
        from xraydesk.parties.faults import read
        from xraydesk.project.cli_parties import log_rows
        from xraydesk.project.config import config

        site = site_of(None)
        rows = log_rows(site, read(config().home / "parties"))
        put_list(
            rows,
            as_json=as_json,
            columns=(
                column("at"),
                column("on purpose", "fault"),
                column("done"),
                column("should be noticed", "should_notice"),
                column("noticed by", "how"),
            ),
        )


def _run(kind: str, **flags: Any) -> None:
    from xraydesk.project.processes import run_process

    _take_flags(**flags)
    run_process(kind)


def _take_flags(**flags: Any) -> None:
    """Flags win over all other settings, here and in what this process starts; paths hold from any folder."""
    # Here, for reading settings takes longer than all else that `xraydesk plan` and `read` load to begin.
    from xraydesk.project.config import put_flags

    put_flags({name: value.absolute() if isinstance(value, Path) else value for name, value in flags.items()})
