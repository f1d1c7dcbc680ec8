"""A finding of the doctor: what was looked at, whether it is well, and what to do if not."""

from typing import Literal

from msgspec import Struct

Status = Literal["ok", "warning", "failure"]


class Finding(Struct, frozen=True):
    """One thing that was looked at. `todo` says what to do; it is empty where all is well."""

    area: str
    what: str
    status: Status
    found: str
    todo: str = ""
