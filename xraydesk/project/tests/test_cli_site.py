"""`xraydesk site`, `user` and `token`: a department and its people from the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest

from tests.factories import AT, SITE_FILES, make_booking, make_exam
from xraydesk.access.actions import sign_in
from xraydesk.access.members import member_of_token
from xraydesk.access.models import App, Membership, Site, User
from xraydesk.access.roles import Role
from xraydesk.links.hl7.tests.sent import order
from xraydesk.links.models import Message
from xraydesk.orders.models import Procedure
from xraydesk.project.cli import run
from xraydesk.project.config import config

Ask = Callable[..., tuple[int, str, str]]
HOSPITAL = str(SITE_FILES / "hospital.toml")


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    monkeypatch.setenv("XRAYDESK_HOME", os.environ["XRAYDESK_HOME"])

    def ask(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", StringIO(stdin))
        status = run(list(arguments))
        told = capsys.readouterr()
        return status, told.out, told.err

    yield ask
    config.cache_clear()


@pytest.fixture
def broken(tmp_path: Path) -> str:
    file = tmp_path / "broken.toml"
    text = Path(HOSPITAL).read_text(encoding="utf-8")
    text = text.replace('room = "XR3"', 'room = "XR9"').replace('timezone = "America/New_York"', 'zone = "X"')
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("name", ["hospital.toml", "clinic.toml", "university.toml"])
def test_the_examples_are_right(ask: Ask, name: str) -> None:
    status, out, err = ask("site", "check", str(SITE_FILES / name))
    assert (status, err) == (0, "")
    assert "is right" in out
    assert ask("site", "check", str(SITE_FILES / name), "--json") == (0, "", "")


def test_everything_wrong_is_told_with_line_and_field(ask: Ask, broken: str) -> None:
    status, out, err = ask("site", "check", broken, "--json")
    assert (status, err) == (1, "")
    told = [json.loads(line) for line in out.splitlines()]
    assert [one["field"] for one in told] == ["site, timezone", "site, zone", "modality 3, room"]
    lines = Path(broken).read_text(encoding="utf-8").splitlines()
    for one in told[1:]:
        assert one["file"] == broken
        assert lines[one["line"] - 1].startswith(one["field"].split(", ")[-1])
    status, out, _ = ask("site", "check", broken)
    assert status == 1
    assert "there is no room XR9" in out


def test_a_file_that_is_not_there_is_wrong_use(ask: Ask, tmp_path: Path) -> None:
    for words in (["site", "check"], ["site", "load"]):
        status, out, err = ask(*words, str(tmp_path / "none.toml"))
        assert (status, out) == (2, "")
        assert err.endswith("none.toml cannot be read: No such file or directory\n")


@pytest.mark.django_db
def test_a_load_prints_what_it_changed_and_the_next_one_nothing(ask: Ask) -> None:
    status, out, err = ask("site", "load", HOSPITAL)
    assert (status, err) == (0, "")
    assert "room XR3: added" in out.splitlines()
    assert ask("site", "load", HOSPITAL) == (0, "Nothing changed.\n", "")
    assert ask("site", "load", HOSPITAL, "--json") == (0, "", "")


@pytest.mark.django_db
def test_a_changed_file_is_loaded_over(ask: Ask, tmp_path: Path) -> None:
    ask("site", "load", HOSPITAL)
    file = tmp_path / "changed.toml"
    text = Path(HOSPITAL).read_text(encoding="utf-8")
    file.write_text(text.replace('name = "XR3 General"', 'name = "XR3"'), encoding="utf-8")
    status, out, _ = ask("site", "load", str(file), "--json")
    assert status == 0
    assert json.loads(out) == {"change": "room XR3: name XR3 General → XR3"}


@pytest.mark.django_db
def test_a_load_that_is_refused_changes_nothing_and_says_why(ask: Ask, tmp_path: Path, broken: str) -> None:
    ask("site", "load", HOSPITAL)
    assert ask("site", "load", broken)[0] == 1
    site = Site.objects.get()
    exam = make_exam(site, code="XRCHEST2")
    from datetime import timedelta

    from xraydesk.lib.clock import now

    make_booking(exam, room="XR1", start=now() + timedelta(days=1))
    file = tmp_path / "smaller.toml"
    text = Path(HOSPITAL).read_text(encoding="utf-8")
    text = text.replace('code = "XR1"', 'code = "XR0"').replace('room = "XR1"', 'room = "XR0"')
    file.write_text(text, encoding="utf-8")
    status, out, err = ask("site", "load", str(file))
    assert (status, out) == (1, "")
    assert f"room XR1 has bookings to come: {exam.accession}" in err
    assert Site.objects.get().plan == site.plan


@pytest.mark.django_db
def test_a_person_is_made_with_a_password_from_stdin_and_signs_in(ask: Ask) -> None:
    ask("site", "load", HOSPITAL)
    words = ["user", "create", "ada", "--role", "coordinator", "--password-stdin", "--json"]
    status, out, err = ask(*words, stdin="correct horse\nmore\n")
    assert (status, err) == (0, "")
    assert json.loads(out) == {"name": "ada", "role": "coordinator"}
    assert sign_in(name="ada", password="correct horse", at=AT).name == "ada"
    assert Membership.objects.get().role == Role.COORDINATOR
    status, out, err = ask(*words, stdin="correct horse\n")
    assert (status, out) == (1, "")
    assert "There is a user ada already" in err


@pytest.mark.django_db
def test_a_person_made_without_a_password_is_given_one(ask: Ask) -> None:
    ask("site", "load", HOSPITAL)
    _, out, _ = ask("user", "create", "ada", "--role", "porter", "--json")
    password = json.loads(out)["password"]
    assert sign_in(name="ada", password=password, at=AT).name == "ada"
    status, out, _ = ask("user", "password", "ada", "--json")
    assert status == 0
    assert sign_in(name="ada", password=json.loads(out)["password"], at=AT).name == "ada"
    assert ask("user", "password", "eve")[0] == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "words",
    [
        ["user", "create", "ada"],
        ["user", "create", "ada", "--role", "king"],
        ["token", "create", "ehr"],
        ["token", "create", "ehr", "--role", "king"],
    ],
)
def test_a_role_that_is_none_is_wrong_use(ask: Ask, words: list[str]) -> None:
    status, out, _ = ask(*words)
    assert (status, out) == (2, "")
    assert not User.objects.exists()


@pytest.mark.django_db
def test_a_token_is_printed_once_and_works_until_it_is_revoked(ask: Ask) -> None:
    ask("site", "load", HOSPITAL)
    status, out, err = ask("token", "create", "ehr", "--role", "system")
    assert (status, err) == (0, "")
    assert member_of_token(out.strip()) is not None
    assert ask("token", "create", "ehr", "--role", "system", "--json")[0] == 1
    assert ask("token", "revoke", "ehr") == (0, "", "")
    assert member_of_token(out.strip()) is None
    assert ask("token", "revoke", "ehr")[0] == 1
    _, out, _ = ask("token", "create", "ehr", "--role", "system", "--json")
    told = json.loads(out)
    assert (told["name"], told["role"]) == ("ehr", "system")
    assert member_of_token(told["token"]) is not None


@pytest.mark.django_db
def test_an_app_is_let_in_its_keys_are_changed_and_it_is_shut_out(ask: Ask, tmp_path: Path) -> None:
    ask("site", "load", HOSPITAL)
    keys, wrong = tmp_path / "keys.json", tmp_path / "wrong.json"
    keys.write_text(json.dumps({"keys": [{"kty": "EC", "kid": "1", "crv": "P-384", "x": "a", "y": "b"}]}))
    wrong.write_text("[]")
    made = ["app", "create", "lab", "--scope", "system/*.rs", "--keys", str(keys), "--json"]
    status, out, _ = ask(*made)
    app = App.objects.get(client_id=json.loads(out)["client_id"])
    assert (status, app.people, len(app.keys)) == (0, False, 1)
    assert ask(*made)[0] == 1
    assert ask("app", "create", "none", "--scope", "system/*.rs")[0] == 1
    assert ask("app", "create", "bad", "--scope", "system/*.rs", "--keys", str(wrong))[0] == 1
    back = ["--redirect", "https://app.example/back"]
    assert ask("app", "create", "viewer", "--scope", "user/*.rs", *back)[0] == 0
    assert ask("app", "keys", "lab", str(keys)) == (0, "", "")
    assert ask("app", "keys", "viewer", str(keys))[0] == 1
    assert ask("app", "keys", "lab", str(tmp_path / "absent.json"))[0] == 1
    assert ask("app", "revoke", "lab") == (0, "", "")
    assert ask("app", "revoke", "lab")[0] == 1


@pytest.mark.django_db
def test_a_table_of_codes_is_loaded_listed_and_dropped(ask: Ask, tmp_path: Path) -> None:
    ask("site", "load", HOSPITAL)
    own = Procedure.objects.order_by("id")[0].code
    table, wrong, noise = tmp_path / "table.csv", tmp_path / "wrong.csv", tmp_path / "noise.csv"
    table.write_text(f"local,code,display\n{own},1-1,An exam\n")
    wrong.write_text("local,code\nNOTHERE,1-1\n")
    noise.write_bytes(b"\xff\xfe")
    there = ["--system", "http://codes.example"]
    status, out, _ = ask("codes", "load", str(table), *there, "--version", "7", "--json")
    assert (status, json.loads(out)["pairs"]) == (0, 1)
    status, _, trouble = ask("codes", "load", str(wrong), *there)
    assert status == 1
    assert "line 2: “NOTHERE” is not on" in trouble
    assert ask("codes", "load", str(noise), *there)[0] == 1
    assert ask("codes", "load", str(tmp_path / "absent.csv"), *there)[0] != 0
    assert ask("codes", "load", str(table), "--system", "none")[0] == 1
    assert json.loads(ask("codes", "list", "--json")[1])["version"] == "7"
    assert ask("codes", "drop", *there) == (0, "", "")
    assert ask("codes", "drop", *there)[0] == 1


@pytest.mark.django_db
def test_a_file_is_tried_on_a_kept_message_before_it_is_loaded_and_every_version_can_come_back(
    ask: Ask, tmp_path: Path
) -> None:
    ask("site", "load", HOSPITAL)
    site = Site.objects.get()
    text = Path(HOSPITAL).read_text(encoding="utf-8")
    ruled = tmp_path / "ruled.toml"
    ruled.write_text(
        text.replace(
            'receiving_facility = "XRAY"', 'receiving_facility = "XRAY"\nfields = { accession = "ZDS-1" }', 1
        )
    )
    raw = order(extra="ZDS|A77").encode()
    kept = Message.objects.create(
        site=site, direction="in", link="EHR", at=AT, state="applied", raw=raw, body_sha256="x"
    )
    status, out, _ = ask("site", "try", str(ruled), str(kept.pk), "--json")
    assert (status, json.loads(out)) == (0, {"place": "orders.1.accession", "today": "", "then": "A77"})
    assert "as it is today" in ask("site", "try", HOSPITAL, str(kept.pk))[1]
    assert ask("site", "try", str(ruled), "999999")[0] == 1
    Message.objects.update(link="")
    assert ask("site", "try", str(ruled), str(kept.pk))[0] == 1
    ask("site", "load", str(ruled))
    assert [json.loads(line)["version"] for line in ask("site", "versions", "--json")[1].splitlines()] == [
        2,
        1,
    ]
    assert "fields" in ask("site", "back", site.code, "1")[1]
    site.refresh_from_db()
    assert site.version == 3
    assert ask("site", "back", site.code, "3")[1] == "Nothing changed.\n"
    assert ask("site", "back", site.code, "9")[0] == 1
