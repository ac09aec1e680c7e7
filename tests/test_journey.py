"""One exam from the order to its images, over real sockets, with none of our simulators."""

from __future__ import annotations

import itertools
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from tests import modality
from tests.database import with_tables
from tests.running import ROOT, Desk, Orthanc, hospital_file, need, running_desk, running_orthanc, until

pytestmark = pytest.mark.link
_numbers = itertools.count(int(time.time()) % 100_000 * 1000)
PASSWORD = "a password that only tests use"


def tomorrow(hour: int, minute: int = 0) -> datetime:
    return (datetime.now() + timedelta(days=1)).replace(hour=hour, minute=minute, second=0, microsecond=0)


def order(placer: str, patient: str, start: datetime, code: str = "XRCHEST2") -> str:
    when = f"{start:%Y%m%d%H%M%S}"
    return "\r".join(
        [
            f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|{datetime.now():%Y%m%d%H%M%S}||ORM^O01^ORM_O01|C{placer}|P|2.5.1||||||UNICODE UTF-8",
            f"PID|1||{patient}^^^HOSP^MR||Prüfer^Ñandú||19690512|F",
            "PV1|1|O|RAD",
            f"ORC|NW|{placer}^EHR|||||1^^^{when}^^R|||||7001^Okafor^Ngozi",
            f"OBR|1|{placer}^EHR||{code}^Chest 2 views^L||||||||||||7001^Okafor^Ngozi|||||||||||||||cough|||||{when}",
            "",
        ]
    )


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def desk(pacs: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    file = hospital_file(folder, pacs=pacs.dicom)
    with running_desk(with_tables(folder), "--site", str(file)) as started:
        made = subprocess.run(
            [*_python(), "user", "create", "wanjiru", "--role", "coordinator", "--password-stdin"],
            input=PASSWORD, text=True, capture_output=True, env=started.env | {"XRAYDESK_HOME": str(started.home)}, cwd=ROOT,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        yield started


def _python() -> list[str]:
    import sys

    return [sys.executable, "-m", "xraydesk"]


def booked(desk: Desk, start: datetime) -> tuple[dict[str, Any], str]:
    """An exam ordered over MLLP and booked by rule; and its patient's number."""
    number = next(_numbers)
    placer, patient = f"P{number}", f"N{number}"
    answer = desk.ask(order(placer, patient, start))
    assert f"MSA|AA|C{placer}" in answer

    def has_place() -> dict[str, Any] | None:
        found = desk.objects("exam", "list", "--all", "--placer", placer)
        return found[0] if found and found[0]["room"] and found[0]["start"] else None

    exam = until(has_place)
    assert exam is not None, desk.objects("exam", "list", "--all", "--placer", placer)
    return exam, patient


def findscu(desk: Desk, exam: dict[str, Any], ae_title: str) -> str:
    day = datetime.fromisoformat(exam["start"]).strftime("%Y%m%d")
    asked = ["findscu", "-W", "-aet", ae_title, "-aec", "XRAYDESK", "-k", f"0008,0050={exam['accession']}", "-k", "0010,0010",
             "-k", "0010,0020", "-k", "0020,000d", "-k", f"(0040,0100)[0].0040,0001={ae_title}",
             "-k", f"(0040,0100)[0].0040,0002={day}", "127.0.0.1", str(desk.dicom)]  # fmt: skip
    done = subprocess.run(asked, capture_output=True, timeout=30)
    assert done.returncode == 0
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def storescu(desk: Desk, ae_title: str, folder: Path, objects: list[Any]) -> None:
    paths = []
    for number, made in enumerate(objects):
        path = folder / f"{number}.dcm"
        made.save_as(path, enforce_file_format=True)
        paths.append(str(path))
    subprocess.run(
        ["storescu", "-aet", ae_title, "-aec", "XRAYDESK", "127.0.0.1", str(desk.dicom), *paths],
        check=True,
        capture_output=True,
        timeout=30,
    )


def of_exam(exam: dict[str, Any], patient: str, **fields: Any) -> dict[str, Any]:
    return {
        "PatientID": patient,
        "PatientName": "Prüfer^Ñandú",
        "AccessionNumber": exam["accession"],
        "StudyInstanceUID": exam["study_instance_uid"],
    } | fields


def at_pacs(pacs: Orthanc, exam: dict[str, Any]) -> list[dict[str, Any]]:
    return [tags for tags in pacs.instances() if tags["StudyInstanceUID"] == exam["study_instance_uid"]]


class Browser:
    """A plain HTTP client with cookies and forms, as a person without JavaScript has one."""

    def __init__(self, desk: Desk) -> None:
        self.base = f"http://127.0.0.1:{desk.http}"
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        form = self.get("/sign-in")
        self.post("/sign-in", form, username="wanjiru", password=PASSWORD)

    def get(self, path: str) -> str:
        with self.opener.open(self.base + path, timeout=20) as answer:
            return str(answer.read().decode())

    def post(self, path: str, page: str, **fields: str) -> str:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token is not None
        data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token[1]}).encode()
        request = urllib.request.Request(self.base + path, data, {"Referer": self.base + path})
        with self.opener.open(request, timeout=20) as answer:
            return str(answer.read().decode())


def test_an_exam_goes_from_its_order_to_its_images_at_the_pacs(
    desk: Desk, pacs: Orthanc, tmp_path: Path
) -> None:
    need("findscu", "storescu")
    exam, patient = booked(desk, tomorrow(10, 30))
    ae_title = exam["ae_title"]
    listed = findscu(desk, exam, ae_title)
    assert exam["accession"] in listed
    assert patient in listed

    uid = modality.new_uid()
    begun = modality.step_begun(
        ae_title, accession=exam["accession"], study=exam["study_instance_uid"], PatientID=patient
    )
    assert modality.tell_step(desk.dicom, ae_title, "send_n_create", begun, uid) == 0
    assert until(lambda: desk.exam(exam["accession"])["stage"] == "begun")
    images = [modality.image(**of_exam(exam, patient, ViewPosition=view)) for view in ("PA", "LL")]
    report = modality.dose_report(4.2e-5, **of_exam(exam, patient))
    storescu(desk, ae_title, tmp_path, [*images, report])
    assert modality.tell_step(desk.dicom, ae_title, "send_n_set", modality.step_ended(images), uid) == 0

    until(lambda: desk.exam(exam["accession"])["images"]["sent"] == 3)
    shown = desk.exam(exam["accession"])
    assert shown["stage"] == "ended"
    assert shown["images"] == {"received": 3, "matched": 3, "quarantined": 0, "held": 0, "sent": 3}
    assert shown["dose"]["dap_gym2"] == pytest.approx(4.2e-5)
    kinds = [fact["kind"] for fact in shown["facts"]]
    assert [fact["at"] for fact in shown["facts"]] == sorted(fact["at"] for fact in shown["facts"])
    for kind in (
        "order received",
        "accepted in triage",
        "booked",
        "begun",
        "image matched",
        "ended",
        "image sent",
    ):
        assert kind in kinds, kinds
    held = at_pacs(pacs, exam)
    assert sorted(tags["SOPInstanceUID"] for tags in held) == sorted(
        str(o.SOPInstanceUID) for o in [*images, report]
    )
    assert exam["accession"] not in findscu(desk, exam, ae_title)

    page = Browser(desk).get(f"/exams/{exam['accession']}?all=1")
    for words in ("Booked", "Exam begun", "Exam ended", "Image sent on", "3 received, 3 matched, 3 sent"):
        assert words in page, words


def test_another_patients_image_is_held_back_corrected_by_a_person_and_sent(
    desk: Desk, pacs: Orthanc
) -> None:
    """Row 40: a wrong worklist entry was picked; routing is held, a person decides, the copy that goes on is corrected."""
    exam, patient = booked(desk, tomorrow(11, 30))
    ae_title = exam["ae_title"]
    uid = modality.new_uid()
    begun = modality.step_begun(
        ae_title, accession=exam["accession"], study=exam["study_instance_uid"], PatientID=patient
    )
    assert modality.tell_step(desk.dicom, ae_title, "send_n_create", begun, uid) == 0
    wrong = modality.image(**of_exam(exam, "W" + patient, PatientName="Other^Person"))
    assert modality.store(desk.dicom, ae_title, [wrong]) == [0]
    assert modality.tell_step(desk.dicom, ae_title, "send_n_set", modality.step_ended([wrong]), uid) == 0
    [row] = desk.objects("image", "list", "--accession", exam["accession"])
    assert row["state"] == "quarantined"
    items = desk.objects("item", "list")
    assert any(item["sop_instance_uid"] == str(wrong.SOPInstanceUID) for item in items)
    time.sleep(2)
    assert at_pacs(pacs, exam) == []

    browser = Browser(desk)
    attention = browser.get("/attention")
    numbers = {int(n) for n in re.findall(r'href="/images/(\d+)"', attention)}
    pages = {number: browser.get(f"/images/{number}") for number in numbers}
    [number] = [n for n, page in pages.items() if exam["accession"] in page and "W" + patient in page]
    browser.post(f"/images/{number}/belongs", pages[number], exam=exam["accession"])
    assert until(lambda: desk.exam(exam["accession"])["images"]["sent"] == 1)
    [tags] = at_pacs(pacs, exam)
    assert tags["PatientID"] == patient
    assert tags["PatientName"].rstrip("^") == "Prüfer^Ñandú"
    left = [
        item for item in desk.objects("item", "list") if item["sop_instance_uid"] == str(wrong.SOPInstanceUID)
    ]
    assert left == []


def test_an_exam_performed_in_another_room_than_booked_moves_there(desk: Desk) -> None:
    exam, patient = booked(desk, tomorrow(13))
    other = next(ae for ae in ("XR1", "XR2", "XR3") if ae != exam["ae_title"])
    begun = modality.step_begun(
        other, accession=exam["accession"], study=exam["study_instance_uid"], PatientID=patient
    )
    assert modality.tell_step(desk.dicom, other, "send_n_create", begun, modality.new_uid()) == 0
    until(lambda: desk.exam(exam["accession"])["stage"] == "begun")
    shown = desk.exam(exam["accession"])
    assert shown["stage"] == "begun"
    assert (shown["room"], shown["ae_title"]) == (other, other)
    assert "taken to another room" in [fact["kind"] for fact in shown["facts"]]
    again, _ = booked(desk, tomorrow(13))
    assert again["start"] == exam["start"], "the slot was freed, and the next exam may have it"


def test_two_orders_in_one_message_stream_are_two_exams_and_a_resend_is_none(desk: Desk) -> None:
    """Row 2: the same message again is acknowledged again and stored once."""
    number = next(_numbers)
    message = order(f"P{number}", f"N{number}", tomorrow(14))
    assert desk.ask(message).count("MSA|AA") == 1
    assert desk.ask(message).count("MSA|AA") == 1
    assert len(desk.objects("exam", "list", "--all", "--placer", f"P{number}")) == 1
    assert len(desk.objects("message", "list", "--control-id", f"CP{number}")) == 1
