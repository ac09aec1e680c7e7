"""Which kinds of object the desk takes, and in which encodings."""

from __future__ import annotations

from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom.presentation import AllStoragePresentationContexts

VERIFICATION = "1.2.840.10008.1.1"
MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
MODALITY_PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
"""The well-known SOP instance that commitment is asked of (PS3.4 J.3.5)."""

INSTANCE_AVAILABILITY = "1.2.840.10008.5.1.4.33"

MESSAGE_SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""For everything that is not storage, the preferred one first."""

STORAGE_SYNTAXES = tuple(
    str(uid)
    for uid in (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEGLSLossless,
        JPEG2000Lossless,
        JPEGLosslessSV1,
        JPEGLossless,
        RLELossless,
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        JPEG2000,
        JPEGLSNearLossless,
        ExplicitVRBigEndian,
    )
)
"""Objects are kept as they come. Deflate is left out: a few bytes of it unpack to gigabytes."""

PLAIN_SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian))
"""Those of them whose pixels are not packed."""

assert str(DeflatedExplicitVRLittleEndian) not in STORAGE_SYNTAXES

DRAWN_BY_THE_MACHINE = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, for processing
    "1.2.840.10008.5.1.4.1.1.1.2",  # Digital Mammography, for presentation
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography, for processing
)
"""Radiographs as a machine makes them: no screen shots, no paper."""

_RETIRED = (
    "1.2.840.10008.5.1.4.1.1.9",  # Standalone Curve
    "1.2.840.10008.5.1.4.1.1.10",  # Standalone Modality LUT
    "1.2.840.10008.5.1.4.1.1.11",  # Standalone VOI LUT
    "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-plane Image
    "1.2.840.10008.5.1.4.1.1.8",  # Standalone Overlay
    "1.2.840.10008.5.1.4.1.1.5",  # Nuclear Medicine Image
    "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image
    "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame Image
)

STORAGE_CLASSES = tuple(
    dict.fromkeys([*(str(context.abstract_syntax) for context in AllStoragePresentationContexts), *_RETIRED])
)
"""Every storage SOP class of PS3.4 annex B, and the retired ones that old machines still send."""
