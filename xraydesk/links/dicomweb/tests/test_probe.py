"""An archive that is asked over the web is tried out, and what ails it is told in words, over real sockets."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.certificates import certificate_of
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom.probe import Found
from xraydesk.links.dicomweb.probe import probe
from xraydesk.links.outside.tests.http_peer import Asked, Told, peer
from xraydesk.parties.pacs_web import served
from xraydesk.siteplan.routing_plan import DestinationPlan

pytestmark = pytest.mark.link

OLD = DestinationPlan("OLD", "", "", 0, finds=True, moves_to="PACS", networks=("127.0.0.0/8", "::1"))
GOOD = Found(True, True, "It answers searches (QIDO-RS), and gives out objects (WADO-RS).")


def one_object(folder: Path) -> None:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", new_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = new_uid(), new_uid(), "CR"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(folder / "one.dcm", enforce_file_format=True)


def test_an_archive_that_finds_and_gives_out_is_well(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("word")
    with served(tmp_path, authorization="Bearer word") as base:
        here = replace(OLD, web=base, web_token=str(tmp_path / "token"))
        assert probe(here).said == "It answers searches (QIDO-RS), and has no study to try fetching with."
        one_object(tmp_path)
        assert probe(here) == GOOD
        assert probe(replace(here, moves_to="")).said == "It answers searches (QIDO-RS)."
        refused = probe(replace(here, web_token=""))
        assert refused == Found(
            True, False, "It does not know the desk: it takes no such token or password (401)."
        )
        assert "nothing at that address" in probe(replace(here, web=f"{base}/x")).said
        assert probe(replace(here, networks=())).said.startswith("It lies within")
        (tmp_path / "token").write_text("two\nlines")
        assert "token or password cannot be read" in probe(here).said
        (tmp_path / "token").write_text("word")
    assert probe(here) == Found(False, False, "The computer is there, but nothing listens at that port.")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (Told(501), "gives out no objects (WADO-RS): it does not do that (501)."),
        (Told(204), "gives out no objects (WADO-RS): it sends nothing of an object that it has."),
        (Told(200, b"x", {"Content-Type": "image/jpeg"}), "it answers with image/jpeg, not with parts"),
    ],
)
def test_one_that_only_finds_is_told_apart(told: Told, why: str) -> None:
    found = b'[{"0020000D":{"vr":"UI","Value":["1.2"]},"0020000E":{"vr":"UI","Value":["1.3"]},"00080018":{"vr":"UI","Value":["1.4"]}}]'

    def answer(asked: Asked) -> Told:
        return Told(200, found, {"Content-Type": "application/dicom+json"}) if "?" in asked.target else told

    with peer(answer) as base:
        outcome = probe(replace(OLD, web=base))
    assert (outcome.echoed, why in outcome.said) == (False, True), outcome.said
    with peer(lambda asked: answer(asked) if "/studies?" in asked.target else Told(204)) as base:
        assert "tells of no objects" in probe(replace(OLD, web=base)).said


def test_certificates_are_looked_at_both_ways(tmp_path: Path) -> None:
    certificate, key = certificate_of(tmp_path, "localhost")
    one_object(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with served(tmp_path, tls=context) as base:
        here = replace(OLD, web=base)
        assert probe(here).said.startswith("Its certificate is not trusted here: self-signed certificate")
        here = replace(here, authority=str(certificate))
        assert probe(here) == GOOD
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        assert "may want a certificate of the desk" in probe(here).said
        assert probe(replace(here, certificate=str(certificate), key=str(key))) == GOOD
        assert probe(replace(here, certificate="/no/such.pem", key="/no/such.key")).said == (
            "A certificate file for it cannot be read here."
        )
