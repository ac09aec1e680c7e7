"""A small picture of an image, and what is not shown."""

from __future__ import annotations

import shutil
import struct
import subprocess
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, JPEGExtended12Bit, RLELossless

from tests.shared_data import shared_data
from xraydesk.links.dicom import picture, unpacking
from xraydesk.links.dicom.picture import NoPicture, Window, picture_of, shrunk, window_of, windowed

CR = "1.2.840.10008.5.1.4.1.1.1"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


def image_file(folder: Path, pixels: np.ndarray | None, syntax: str = ExplicitVRLittleEndian, **said) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = syntax, CR, "1.9"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.PatientName = CR, "1.9", "Secret^Name"
    if pixels is not None:
        ds.Rows, ds.Columns = pixels.shape[:2]
        ds.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
        ds.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
        if pixels.ndim == 3:
            ds.PlanarConfiguration = 0
        ds.BitsAllocated = ds.BitsStored = pixels.dtype.itemsize * 8
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = 0
        ds.PixelData = pixels.tobytes()
    for keyword, value in said.items():
        setattr(ds, keyword, value)
    if syntax == RLELossless:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax == JPEG_LOSSLESS:
        ds["PixelData"].is_undefined_length = True
        ds.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    path = folder / "a.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def read_png(data: bytes) -> np.ndarray:
    """The pixels of a PNG as this desk writes them: no filter, no interlace."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    columns, rows, depth, colour = struct.unpack(">IIBB", data[16:26])
    assert depth == 8
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    assert struct.unpack(">I", data[at + 4 + length : at + 8 + length])[0] == zlib.crc32(
        data[at : at + 4 + length]
    )
    lines = np.frombuffer(zlib.decompress(data[at + 4 : at + 4 + length]), np.uint8).reshape(rows, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape((rows, columns, 3) if colour == 2 else (rows, columns))


def ramp(rows: int = 400, columns: int = 300) -> np.ndarray:
    return np.tile(np.arange(columns, dtype=np.uint16) * 10, (rows, 1))


def test_it_is_small_and_marked_and_says_nothing_of_the_patient(tmp_path: Path) -> None:
    drawn = picture_of(image_file(tmp_path, ramp(1600, 1200)), side_pixels_max=400)
    assert (drawn.width, drawn.height) == (300, 400)
    assert b"Secret" not in drawn.png
    shown = read_png(drawn.png)
    band = shown[-11:]
    assert set(np.unique(band)) == {0, 255}
    assert (band == 255).sum() == picture._mark().sum()
    assert (np.diff(shown[0].astype(int)) >= 0).all()


def test_the_window_of_the_image_is_used_and_another_goes_before_it(tmp_path: Path) -> None:
    path = image_file(tmp_path, ramp(), WindowCenter=[1000, 5], WindowWidth=[200, 7])
    top = read_png(picture_of(path).png)[0]
    assert top[89] == 0
    assert top[111] == 255
    assert top[100] == pytest.approx(128, abs=1)
    assert picture_of(path, window=Window(2000, 200)).window == Window(2000, 200)
    assert read_png(picture_of(path, window=Window(2000, 200)).png)[0][111] == 0


def test_without_a_window_the_outer_hundredths_are_black_and_white(tmp_path: Path) -> None:
    drawn = picture_of(image_file(tmp_path, ramp()))
    assert drawn.window is not None
    assert drawn.window.centre == pytest.approx(1495)
    assert drawn.window.width == pytest.approx(2930, rel=0.02)
    assert len(np.unique(read_png(picture_of(image_file(tmp_path, np.zeros((50, 50), np.uint8))).png))) == 1


def test_small_values_are_white_where_the_image_says_so(tmp_path: Path) -> None:
    first = read_png(picture_of(image_file(tmp_path, ramp(), PhotometricInterpretation="MONOCHROME1")).png)
    assert (first[0][0], first[0][-1]) == (255, 0)
    shaped = image_file(
        tmp_path, ramp(), PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY"
    )
    assert read_png(picture_of(shaped).png)[0][0] == 0
    inverse = image_file(tmp_path, ramp(), PresentationLUTShape="INVERSE")
    assert read_png(picture_of(inverse).png)[0][0] == 255


def test_rescaled_values_and_unused_bits_are_minded(tmp_path: Path) -> None:
    rescaled = image_file(
        tmp_path, ramp(), RescaleSlope=2, RescaleIntercept=-100, WindowCenter=1900, WindowWidth=200
    )
    top = read_png(picture_of(rescaled).png)[0]
    assert (top[94], top[106]) == (0, 255)
    overlaid = image_file(tmp_path, ramp() | 0x8000, BitsStored=12, HighBit=11)
    assert picture_of(overlaid).window.centre == pytest.approx(1495)
    broken = image_file(tmp_path, ramp(), RescaleSlope=0)
    assert picture_of(broken).window.centre == pytest.approx(1495)


def test_colours_and_run_lengths_are_shown(tmp_path: Path) -> None:
    colours = np.zeros((60, 200, 3), np.uint8)
    colours[:, :100, 0] = 200
    shown = read_png(picture_of(image_file(tmp_path, colours)).png)
    assert shown[0, 0].tolist() == [200, 0, 0]
    plain = picture_of(image_file(tmp_path, ramp()))
    assert picture_of(image_file(tmp_path, ramp(), RLELossless)) == plain


def test_only_the_first_of_many_frames_is_read(tmp_path: Path) -> None:
    frames = np.concatenate([ramp(40, 200), np.zeros((40, 200), np.uint16)])
    path = image_file(tmp_path, frames, Rows=40, NumberOfFrames=2)
    assert picture_of(path).height == 40
    assert read_png(picture_of(path).png)[0][-1] == 255


def test_what_cannot_be_shown_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def why(path: Path) -> str:
        with pytest.raises(NoPicture) as said:
            picture_of(path)
        return str(said.value)

    assert why(tmp_path / "none.dcm") == "Its file cannot be read (FileNotFoundError)."
    assert why(image_file(tmp_path, None)) == "It has no picture."
    assert why(
        image_file(tmp_path, None, Rows=4, Columns=4, BitsAllocated=8, PhotometricInterpretation="RGB")
    )
    assert "colours cannot be read" in why(
        image_file(tmp_path, ramp(), PhotometricInterpretation="PALETTE COLOR")
    )
    assert "colours cannot be shown" in why(image_file(tmp_path, ramp(), PhotometricInterpretation="HSV"))
    assert "cannot be read" in why(image_file(tmp_path, ramp(), Rows=4000))
    monkeypatch.setattr(picture, "FRAME_BYTES_MAX", 1000)
    assert "too large" in why(image_file(tmp_path, ramp()))


def test_a_decoder_is_never_handed_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args, **_more):
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(picture, "pixel_array", never)
    huge = image_file(tmp_path, ramp(), Rows=65_535, Columns=65_535)
    with pytest.raises(NoPicture, match="too large"):
        picture_of(huge)


def item_of_table(first: int, values: list[int], bits: int = 8) -> Dataset:
    """A table that stands for the values from `first` on."""
    one = Dataset()
    one.add_new("LUTDescriptor", "SS", [len(values), first, bits])
    one.add_new("LUTData", "US", values)
    return one


def test_the_tables_of_an_image_say_how_dark_its_values_are(tmp_path: Path) -> None:
    halves = np.repeat(np.array([[10, 11, 12, 13]], np.uint16), 25, axis=1).repeat(40, axis=0)
    voi = item_of_table(10, [0, 51, 102, 255])
    shown = picture_of(image_file(tmp_path, halves, VOILUTSequence=[voi]))
    assert (read_png(shown.png)[0, ::25].tolist(), shown.window) == ([0, 51, 102, 255], None)
    inverted = image_file(tmp_path, halves, VOILUTSequence=[voi], PhotometricInterpretation="MONOCHROME1")
    assert read_png(picture_of(inverted).png)[0, ::25].tolist() == [255, 204, 153, 0]
    asked = picture_of(image_file(tmp_path, halves, VOILUTSequence=[voi]), window=Window(11.5, 3))
    assert read_png(asked.png)[0, ::25].tolist() == [0, 85, 170, 255]
    modality = item_of_table(10, [40, 30, 20, 10])
    drawn = image_file(tmp_path, halves, ModalityLUTSequence=[modality], WindowCenter=25, WindowWidth=30)
    assert read_png(picture_of(drawn).png)[0, ::25].tolist() == [255, 170, 85, 0]


def test_a_table_that_cannot_be_used_is_as_good_as_none(tmp_path: Path) -> None:
    plain = picture_of(image_file(tmp_path, ramp()))
    for broken in (Dataset(), item_of_table(0, [1, 2], bits=60)):
        assert picture_of(image_file(tmp_path, ramp(), VOILUTSequence=[broken])) == plain


def test_palettes_and_other_colours_are_shown(tmp_path: Path) -> None:
    numbers = np.zeros((40, 200), np.uint8)
    numbers[:, 100:] = 1
    said = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, values in (("Red", [65280, 0]), ("Green", [0, 32768]), ("Blue", [0, 0])):
        said[f"{colour}PaletteColorLookupTableDescriptor"] = [2, 0, 16]
        said[f"{colour}PaletteColorLookupTableData"] = np.array(values, "<u2").tobytes()
    shown = read_png(picture_of(image_file(tmp_path, numbers, **said)).png)
    assert shown[0, ::100].tolist() == [[255, 0, 0], [0, 128, 0]]
    grey = np.full((40, 200, 3), 128, np.uint8)
    shown = read_png(picture_of(image_file(tmp_path, grey, PhotometricInterpretation="YBR_FULL")).png)
    assert shown[0, 0].tolist() == [128, 128, 128]


@pytest.mark.link
def test_packed_pictures_are_unpacked_apart_and_a_broken_one_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 27 and 28."""
    broken = image_file(tmp_path, ramp(), JPEG_LOSSLESS)
    with pytest.raises(NoPicture, match="cannot be unpacked"):
        picture_of(broken)
    monkeypatch.setattr(unpacking, "WALL_SECONDS_MAX", 0.001)
    with pytest.raises(NoPicture, match="too long"):
        picture_of(broken)
    monkeypatch.setattr(unpacking, "_turns", threading.BoundedSemaphore(1))
    monkeypatch.setattr(unpacking, "TURN_SECONDS_MAX", 0.001)
    with unpacking._turns, pytest.raises(NoPicture, match="in a moment"):
        picture_of(broken)


@pytest.mark.link
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("CR-ModalitySequenceLUT.dcm", (494, 394)),  # JPEG lossless
        ("Monochrome1-Jpeg.dcm", (502, 611)),  # JPEG baseline
        ("RG3_J2KI.dcm", (586, 586)),  # JPEG 2000
    ],
)
def test_pictures_of_real_machines_are_unpacked_as_the_decoder_alone_does(
    name: str, size: tuple[int, int]
) -> None:
    path = shared_data("dicom_images") / name
    shown = picture_of(path)
    assert (shown.width, shown.height) == size
    whole = unpacking.first_frame(path, bytes_max=picture.FRAME_BYTES_MAX)
    assert np.array_equal(whole, pixel_array(path, index=0))
    assert unpacking._read(unpacking.unpacked(path, bytes_max=picture.FRAME_BYTES_MAX)).shape == whole.shape
    with pytest.raises(unpacking.NotUnpacked, match="larger than it says"):
        unpacking.first_frame(path, bytes_max=1000)
    with pytest.raises(ValueError, match="larger"):
        unpacking.unpacked(path, bytes_max=1000)


@pytest.mark.link
@pytest.mark.skipif(shutil.which("dcmcjpls") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("packing", [["dcmcjpls"], ["dcmcjpeg", "+e1"]])
def test_what_another_program_packed_looks_as_before(packing: list[str], tmp_path: Path) -> None:
    """JPEG-LS and lossless JPEG by dcmtk."""
    path = image_file(tmp_path, ramp())
    packed = tmp_path / "packed.dcm"
    subprocess.run([*packing, str(path), str(packed)], check=True)
    assert picture_of(packed) == picture_of(path)


@pytest.mark.link
@pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="dcmtk is not installed")
def test_twelve_bits_that_another_program_packed_with_loss_look_nearly_as_before(tmp_path: Path) -> None:
    """JPEG of process 4 by dcmtk."""
    values = ramp()
    path, packed = image_file(tmp_path, values, BitsStored=12, HighBit=11), tmp_path / "packed.dcm"
    subprocess.run(["dcmcjpeg", "+ee", str(path), str(packed)], check=True)
    assert dcmread(packed).file_meta.TransferSyntaxUID == JPEGExtended12Bit
    seen = unpacking.first_frame(packed, bytes_max=picture.FRAME_BYTES_MAX)
    assert values.max() > 255
    assert np.abs(seen.astype(int) - values).mean() < 8
    assert picture_of(packed).width == values.shape[1]
    content = packed.read_bytes()
    packed.write_bytes(content[: len(content) // 2])
    with pytest.raises(NoPicture):
        picture_of(packed)


@pytest.mark.link
@pytest.mark.data
def test_a_frame_that_says_that_it_is_huge_takes_no_memory_here(tmp_path: Path) -> None:
    """Row 27: the header is honest, the packed frame in it is not."""
    content = (shared_data("dicom_images") / "RG3_J2KI.dcm").read_bytes()
    at = content.index(b"\xff\x4f\xff\x51") + 8
    sizes = struct.pack(">II", 60_000, 60_000)
    path = tmp_path / "huge.dcm"
    path.write_bytes(content[:at] + sizes + content[at + 8 : at + 16] + sizes + content[at + 24 :])
    with pytest.raises(NoPicture, match="broken, or far larger"):
        picture_of(path)


def test_making_small_takes_means_of_squares() -> None:
    assert shrunk(np.arange(16, dtype=np.uint8).reshape(4, 4), 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert shrunk(np.full((1, 9), 7, np.uint16), 2).tolist() == [[7.0, 7.0]]
    assert shrunk(np.full((5, 3), 65_535, np.uint16), 9).max() == 65_535


def test_a_window_without_width_is_none() -> None:
    said = Dataset()
    said.WindowCenter, said.WindowWidth = 5, 0
    assert window_of(said) is None
    assert window_of(Dataset()) is None
    assert windowed(np.array([[0.0, 5.0, 10.0]]), Window(5, 10), inverted=True).tolist() == [[255, 128, 0]]


def test_what_the_header_says_of_side_and_view_stands_in_the_corner_and_nothing_where_there_is_no_room(
    tmp_path: Path,
) -> None:
    grey = np.full((300, 300), 100, np.uint16)
    path = image_file(tmp_path, grey, WindowCenter=100, WindowWidth=200)
    plain = read_png(picture_of(path).png)
    marked = read_png(picture_of(path, words="l pa").png)
    assert set(np.unique(plain[:20, :60])) == {128}
    assert set(np.unique(marked[:11, :28])) == {0, 255}
    assert np.array_equal(plain[40:], marked[40:])
    assert np.array_equal(read_png(picture_of(path, words="?? ").png), plain)
    narrow = image_file(tmp_path, grey[:, :12], WindowCenter=100, WindowWidth=200)
    assert set(np.unique(read_png(picture_of(narrow, words="PA PA").png)[:11])) == {128}
