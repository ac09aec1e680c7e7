"""The character sets of DICOM by their defined terms, as a site file names them (PS3.3 C.12.1.1.2)."""

from __future__ import annotations

from enum import StrEnum


class CharacterSet(StrEnum):
    """A character set that a machine can show."""

    ASCII = "ISO_IR 6"
    LATIN_1 = "ISO_IR 100"
    LATIN_2 = "ISO_IR 101"
    LATIN_3 = "ISO_IR 109"
    LATIN_4 = "ISO_IR 110"
    LATIN_5 = "ISO_IR 148"
    CYRILLIC = "ISO_IR 144"
    ARABIC = "ISO_IR 127"
    GREEK = "ISO_IR 126"
    HEBREW = "ISO_IR 138"
    THAI = "ISO_IR 166"
    KATAKANA = "ISO_IR 13"
    UNICODE = "ISO_IR 192"
    CHINESE = "GB18030"
    CHINESE_OF_OLD = "GBK"
    EXTENDED_ASCII = "ISO 2022 IR 6"
    EXTENDED_LATIN_1 = "ISO 2022 IR 100"
    EXTENDED_LATIN_2 = "ISO 2022 IR 101"
    EXTENDED_LATIN_3 = "ISO 2022 IR 109"
    EXTENDED_LATIN_4 = "ISO 2022 IR 110"
    EXTENDED_LATIN_5 = "ISO 2022 IR 148"
    EXTENDED_CYRILLIC = "ISO 2022 IR 144"
    EXTENDED_ARABIC = "ISO 2022 IR 127"
    EXTENDED_GREEK = "ISO 2022 IR 126"
    EXTENDED_HEBREW = "ISO 2022 IR 138"
    EXTENDED_THAI = "ISO 2022 IR 166"
    EXTENDED_KATAKANA = "ISO 2022 IR 13"
    EXTENDED_KANJI = "ISO 2022 IR 87"
    EXTENDED_MORE_KANJI = "ISO 2022 IR 159"
    EXTENDED_KOREAN = "ISO 2022 IR 149"
    EXTENDED_CHINESE = "ISO 2022 IR 58"

    @property
    def can_be_extended(self) -> bool:
        """True where others may follow it in one value (code extension, PS3.5 6.1.2.5)."""
        return self.value.startswith("ISO 2022")
