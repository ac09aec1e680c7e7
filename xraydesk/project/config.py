"""What can be set, from flags, then `XRAYDESK_*` variables, then `xraydesk.toml`."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from xraydesk.project.trouble import Trouble


class Config(BaseSettings):
    """Every setting of the desk with its default and its unit. Names in capitals with `XRAYDESK_` before them."""

    model_config = SettingsConfigDict(env_prefix="XRAYDESK_", toml_file="xraydesk.toml", extra="ignore")

    home: Path = Path("var")
    """The folder that everything of this desk lives in."""
    http: str = "127.0.0.1:8080"
    mllp: str = "127.0.0.1:2575"
    dicom: str = "127.0.0.1:11112"
    ae_title: str = "XRAYDESK"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    """True where a proxy in front of the desk speaks TLS."""
    database_url: str = Field(default="", validation_alias="DATABASE_URL")
    """An external PostgreSQL; empty for the embedded one."""
    pg_bindir: Path | None = None
    """A folder with a system's `postgres`, `initdb` and `pg_ctl`, in place of the ones that are installed with the desk."""
    mllp_max_bytes: int = Field(default=16_777_216, ge=1024)
    mllp_frame_seconds: float = Field(default=30, gt=0)
    mllp_connections_max: int = Field(default=200, ge=1)
    mllp_threads: int = Field(default=8, ge=1, le=64)
    mllp_client_ca: Path | None = None
    dicom_client_ca: Path | None = None
    dicom_idle_seconds: float = Field(default=30, gt=0)
    dicom_associations_max: int = Field(default=200, ge=1)
    dicom_object_bytes_max: int = Field(default=1_073_741_824, ge=1024)
    dicom_threads: int = Field(default=8, ge=1, le=64)
    worker_jobs_at_once: int = Field(default=4, ge=1, le=32)
    log_level: str = "INFO"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment, then `xraydesk.toml` of the working directory."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


@lru_cache(maxsize=1)
def config() -> Config:
    """The settings of this process. Commands put their flags into the environment before the first call.

    Raises Trouble, naming the setting, where one cannot be so.
    """
    try:
        return Config()
    except ValidationError as wrong:
        first = wrong.errors()[0]
        name = str(first["loc"][0])
        name = name if name.isupper() else f"XRAYDESK_{name.upper()}"
        raise Trouble(
            f"The setting {name} cannot be {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
        ) from wrong
    except TOMLDecodeError as wrong:
        raise Trouble(f"xraydesk.toml cannot be read: {wrong}") from wrong


def put_flags(flags: dict[str, Any]) -> None:
    """Let command-line flags win over everything else, in this process and in the ones it starts."""
    for name, value in flags.items():
        if value is not None:
            os.environ["XRAYDESK_" + name.upper()] = str(value)
    config.cache_clear()
