"""JPEG of twelve bits (process 4, extended): GDCM unpacks it, and pydicom's way to GDCM leaves it out.

A plugin of pydicom's decoders, added in the process that unpacks (`unpacking`) and nowhere else.
"""

from __future__ import annotations

from typing import Any

from pydicom.uid import JPEGExtended12Bit

DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("gdcm>=3.0.24",)}


def is_available(uid: str) -> bool:
    """As pydicom asks of a plugin: whether it unpacks a transfer syntax."""
    return bool(uid == JPEGExtended12Bit)


def decode(packed: bytes, runner: Any) -> bytes:
    """The bytes of one frame; `runner` is pydicom's, and says what the header says of it. Raises whatever GDCM raises."""
    import gdcm

    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(packed)
    fragments.AddFragment(fragment)
    pixels = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixels.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(pixels)
    interpretation = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(interpretation))
    syntax = gdcm.TransferSyntax.GetTSType(str(JPEGExtended12Bit))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    image.SetPixelFormat(
        gdcm.PixelFormat(
            runner.samples_per_pixel,
            runner.bits_allocated,
            runner.bits_stored,
            runner.bits_stored - 1,
            runner.pixel_representation,
        )
    )
    # GDCM gives its bytes as text.
    return bytes(image.GetBuffer().encode("utf-8", "surrogateescape"))
