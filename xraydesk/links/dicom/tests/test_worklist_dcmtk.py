"""dcmtk's and Orthanc's own worklist files and queries, answered through a double of the store."""

from __future__ import annotations

import json

import pydicom
import pytest

from tests.shared_data import shared_data
from xraydesk.links.dicom.elements import Encoder, tree_of
from xraydesk.links.dicom.reading import decode
from xraydesk.links.dicom.tests.dumps import read_dump
from xraydesk.links.dicom.worklist_codec import answer, constraints, find, matches

pytestmark = pytest.mark.data
QUERIES = [0, 1, 3, 5, 8, 10, 12]


class _All(dict):
    """A store that knows every key."""

    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return self


EVERYTHING = _All()


def _lines(tree):
    """Top-level lines as dcmtk dumps them, without padding."""
    encoded = Encoder(is_implicit=False, charset=("ISO_IR 100",)).encode(tree)
    dataset = decode(encoded, "1.2.840.10008.1.2.1")
    out = []
    for element in dataset:
        tag = f"({element.tag.group:04x},{element.tag.element:04x}) {element.VR}"
        out.append(tag if element.VR == "SQ" else f"{tag} [{str(element.value).strip()}]")
    return out


def _expected(answer_lines):
    out = []
    for line in answer_lines:
        if line.startswith("(fffe"):
            continue
        # the answers were recorded when dcmtk's files still held an impossible 31st of April
        right = line.replace("17320431", "17320331").replace(" ]", "]")
        out.append(line[:14] if " SQ " in line else right)
    return out


@pytest.mark.parametrize("number", QUERIES)
def test_dcmtks_queries_find_in_dcmtks_database_what_dcmtk_finds(number):
    expected = json.loads(shared_data("mwl", "dcmtk_expected_answers.json").read_text())
    name = f"wlistqry{number}.dump"
    query = tree_of(read_dump(shared_data("mwl", "dcmtk_queries", name)))
    entries = {path.name: tree_of(read_dump(path)) for path in shared_data("mwl", "dcmtk_db").glob("*.dump")}
    assert len(entries) == 10
    got = sorted(_lines(found) for found in find(query, entries.values(), EVERYTHING))
    assert got == sorted(_expected(lines) for lines in expected[name]["all_items"])
    for file, entry in entries.items():
        got = [_lines(found) for found in find(query, [entry], EVERYTHING)]
        assert got == [_expected(lines) for lines in expected[name][file]], file


def test_orthancs_worklist_files_are_found_by_station_and_day():
    paths = sorted(shared_data("mwl", "orthanc_wl").glob("*.wl"))
    entries = [tree_of(pydicom.dcmread(path)) for path in paths]
    assert entries
    for entry, path in zip(entries, paths, strict=True):
        step = entry[0x00400100].items[0]
        query = {
            0x00100010: entry[0x00100010].__class__("PN"),
            0x00400100: entry[0x00400100].__class__(
                "SQ",
                items=({tag: step[tag] for tag in (0x00400001, 0x00400002, 0x00400003) if step[tag].values},),
            ),
        }
        found = list(find(query, [entry], EVERYTHING))
        assert len(found) == 1, path
        assert found[0][0x00100010] == entry[0x00100010]


def test_orthancs_query_by_station_finds_the_entry_that_has_it_and_no_other():
    folder = shared_data("mwl", "orthanc_sequences")
    query = tree_of(read_dump(folder / "Queries_basic.7705.dump"))
    found = {p.name: matches(constraints(query), tree_of(read_dump(p))) for p in folder.glob("STATION*.dump")}
    assert found.pop("STATION_AET_orig.7705.dump") is True
    assert not any(found.values())


@pytest.mark.parametrize("name", ["worklistquery1.dcm", "worklistquery2.dcm"])
def test_queries_of_other_makers_are_read_and_match_an_entry_without_values(name):
    query = tree_of(pydicom.dcmread(shared_data("mwl", "dvtk", name), force=True))
    for sample in ("DummyPatient.dcm", "US_Modality_.dcm", "WLM1.dcm", "wlm1I00001.dcm"):
        entry = tree_of(pydicom.dcmread(shared_data("mwl", "dvtk", sample), force=True))
        assert isinstance(matches(constraints(query), entry), bool)
        answer(query, entry, EVERYTHING)
