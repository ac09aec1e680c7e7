"""DICOM with TLS: the listener asks for certificates, and images go out encrypted; with pynetdicom and dcmtk as peers."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from tests.certificates import certificate_of
from tests.factories import make_exam, make_site
from tests.running import collect_sockets
from xraydesk.imaging.models import Delivery
from xraydesk.imaging.states import StepState
from xraydesk.journey import route
from xraydesk.journey.tests.performing import PACS, begun, site_with_pacs, told
from xraydesk.links.dicom import echo, mpps, send, store
from xraydesk.links.dicom.probe import probe
from xraydesk.links.dicom.tests.peers import association_request, listening, read_pdu
from xraydesk.links.dicom.tests.test_images_link import drawn, stored
from xraydesk.siteplan.jsonform import from_json, to_json

pytestmark = [
    pytest.mark.link,
    pytest.mark.django_db(transaction=True),
    # pynetdicom leaves its socket to the garbage collector where a peer hangs up on it.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ECHO = "1.2.840.10008.1.1"


def trusting(authority: Path, own: tuple[Path, Path] | None = None) -> tuple[ssl.SSLContext, str]:
    context = ssl.create_default_context(cafile=str(authority))
    if own is not None:
        context.load_cert_chain(*own)
    return context, "localhost"


def answered(desk, trust: tuple[ssl.SSLContext, str]) -> tuple[int, bytes]:
    """What the desk says to an association request; (0, b"") where it hangs up."""
    context, name = trust
    with desk.raw() as plain, context.wrap_socket(plain, server_hostname=name) as peer:
        try:
            peer.sendall(association_request())
            return read_pdu(peer)
        except OSError:
            return 0, b""


def test_a_machine_shows_a_certificate_where_the_desk_asks_for_one(tmp_path) -> None:
    make_site()
    desks, machines, others = (certificate_of(tmp_path, name) for name in ("localhost", "xr1", "other"))
    with listening(
        tmp_path,
        [echo.SERVICE],
        dicom="0.0.0.0:0",
        tls_cert=desks[0],
        tls_key=desks[1],
        dicom_client_ca=machines[0],
    ) as desk:
        shown = desk.associate([ECHO], tls_args=trusting(desks[0], machines))
        assert shown.send_c_echo().Status == 0
        shown.release()
        for own in (None, others):
            assert answered(desk, trusting(desks[0], own)) == (0, b"")
        if shutil.which("echoscu"):
            for (certificate, key), taken in ((machines, True), (others, False)):
                done = subprocess.run(
                    ["echoscu", "-aet", "XR1", "-aec", "XRAYDESK", "-to", "20", "-ta", "20", "-td", "20",
                     "+tls", str(key), str(certificate), "+cf", str(desks[0]), "127.0.0.1", str(desk.port)],
                    capture_output=True, timeout=120,
                )  # fmt: skip
                assert (done.returncode == 0) is taken, done.stderr
    collect_sockets()


def test_where_no_certificate_is_asked_for_tls_alone_is_spoken(tmp_path) -> None:
    make_site()
    desks = certificate_of(tmp_path, "localhost")
    with listening(tmp_path, [echo.SERVICE], dicom="0.0.0.0:0", tls_cert=desks[0], tls_key=desks[1]) as desk:
        association = desk.associate([ECHO], tls_args=trusting(desks[0]))
        assert association.send_c_echo().Status == 0
        association.release()
        with desk.raw() as plain:
            plain.sendall(association_request())
            kind, _ = read_pdu(plain)
            assert kind != 2
    collect_sockets()


def test_images_go_encrypted_to_a_destination_that_the_desk_knows_and_that_knows_the_desk(
    tmp_path, settings
) -> None:
    site = site_with_pacs()
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    theirs, ours = certificate_of(tmp_path, "localhost"), certificate_of(tmp_path, "desk")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ours[0]))
    context.load_cert_chain(*theirs)
    context.verify_mode = ssl.CERT_REQUIRED
    kept: list[str] = []

    def take(event: evt.Event) -> int:
        kept.append(str(event.dataset.SOPInstanceUID))
        return 0

    ae = AE(ae_title="PACS")
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)], ssl_context=context
    )
    secure = replace(
        PACS,
        host="localhost",
        port=server.socket.getsockname()[1],
        tls=True,
        authority=str(theirs[0]),
        certificate=str(ours[0]),
        key=str(ours[1]),
    )

    def to(plan) -> None:
        site.plan = to_json(replace(from_json(site.plan), destinations=(plan,)))
        site.save()

    def tried(plan):
        try:
            return probe(host=plan.host, port=plan.port, called="PACS", calling="XRAYDESK", destination=plan)
        finally:
            collect_sockets()

    try:
        to(replace(secure, authority=str(tmp_path / "none.pem")))
        with listening(tmp_path, [mpps.SERVICE, store.SERVICE]) as desk:
            exam = make_exam(site)
            uid = begun(site, exam)
            dataset = drawn(exam)
            assert stored(desk, dataset) == [0]
            told(site, uid, StepState.COMPLETED)
            route.queue_deliveries(exam_id=exam.pk, at=store.clock.now())
        send.deliver(exam_id=exam.pk, destination="PACS")
        assert "certificate file" in Delivery.objects.get().last_error
        assert "certificate file" in tried(replace(secure, authority="/no/such.pem")).said
        assert "trusts the other's certificate" in tried(replace(secure, authority=str(ours[0]))).said
        assert tried(secure).said == "It answers."
        to(secure)
        Delivery.objects.update(next_at=store.clock.now())
        send.deliver(exam_id=exam.pk, destination="PACS")
        assert kept == [dataset.SOPInstanceUID]
        assert Delivery.objects.get().state == "sent"
    finally:
        server.shutdown()
        server.server_close()
        collect_sockets()
