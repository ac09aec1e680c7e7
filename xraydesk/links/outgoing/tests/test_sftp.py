"""Messages put into a folder of another host by SFTP, over a real socket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from xraydesk.links.models import Message
from xraydesk.links.outgoing.sftp import SftpFolder, fingerprint
from xraydesk.links.outgoing.tests.sftp_peer import USER, Host, an_sftp_host
from xraydesk.links.outgoing.tests.test_send import outlink, queue, run, states, told_site
from xraydesk.links.outgoing.wire import NotReached
from xraydesk.siteplan.link_plan import OutlinkPlan

pytestmark = pytest.mark.link


def reached(host: Host, tmp_path: Path, **more: object) -> OutlinkPlan:
    (tmp_path / "password").write_text("s3cret\n")
    values: dict[str, object] = {
        "port": host.port,
        "folder": "/drop",
        "user": USER,
        "password": str(tmp_path / "password"),
        "host_keys": (fingerprint(host.key),),
    }
    return replace(outlink(), **values | more)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "there" / "drop").mkdir(parents=True)
    return tmp_path / "there"


def lying(root: Path) -> list[str]:
    return sorted(file.name for file in (root / "drop").iterdir())


@pytest.mark.django_db(transaction=True)
def test_each_message_is_a_file_there_whole_in_order_and_once_after_a_crash(
    root: Path, tmp_path: Path
) -> None:
    with an_sftp_host(root, password="s3cret") as host:
        site = told_site(reached(host, tmp_path))
        wanted = queue(site, 2)
        run(site)
        assert states() == ["accepted"] * 2
        assert [name.split("-")[1] for name in lying(root)] == [f"{number}.hl7" for number in wanted]
        assert all(old.rpartition("/")[2].startswith(".") for old, _ in host.renamed)
        first = Message.objects.order_by("id")[0]
        assert (root / "drop" / lying(root)[0]).read_bytes() == bytes(first.raw)
        # As after a crash between the file and the row: it was given, and nobody knows whether it is there.
        Message.objects.filter(pk=first.pk).update(state="sent")
        run(site)
        assert (states(), len(lying(root))) == (["accepted"] * 2, 2)


def test_a_key_opens_too_and_a_host_without_the_extension_replaces_as_well(
    root: Path, tmp_path: Path
) -> None:
    key = paramiko.RSAKey.generate(2048)
    key.write_private_key_file(str(tmp_path / "key"))
    with an_sftp_host(root, public=key, has_extension=False) as host:
        to = reached(host, tmp_path, password="", key=str(tmp_path / "key"))
        with SftpFolder(to) as files:
            for raw in (b"one", b"again"):
                assert files.ask(raw, number="X-1", sequence=7).is_taken
    assert lying(root) == ["000000000007-X1.hl7"]
    assert (root / "drop" / "000000000007-X1.hl7").read_bytes() == b"again"


@pytest.mark.parametrize(
    ("knows", "says", "why"),
    [
        ({"password": "s3cret"}, {"host_keys": ("SHA256:" + "A" * 43,)}, "none of those in the site file"),
        ({"password": "other"}, {}, "does not let the desk's user in"),
        ({"password": "s3cret"}, {"folder": "/nowhere"}, "is not there"),
        ({"password": "s3cret"}, {"password": "/nowhere"}, "is not there"),
        ({"password": "s3cret", "cuts_at": 2}, {}, "did not keep all"),
    ],
)
def test_what_stands_in_the_way_is_told_and_nothing_half_done_has_a_name(
    root: Path, tmp_path: Path, knows: dict[str, object], says: dict[str, object], why: str
) -> None:
    with an_sftp_host(root, **knows) as host, SftpFolder(reached(host, tmp_path, **says)) as files:
        with pytest.raises(NotReached, match=why):
            files.ask(b"MSH|", number="X1", sequence=1)
        assert host.tried == (0 if "host_keys" in says or says.get("password") == "/nowhere" else 1)
    assert not [name for name in lying(root) if name.endswith(".hl7")]


def test_a_host_that_is_not_there_is_told(root: Path, tmp_path: Path) -> None:
    with an_sftp_host(root) as host:
        to = reached(host, tmp_path)
    with SftpFolder(to) as files, pytest.raises(NotReached):
        files.ask(b"MSH|", number="X1", sequence=1)
