"""DATA steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..listing import Step
from .statements import RawStep

if TYPE_CHECKING:
    from .run import Session


def run_data_step(session: Session, raw: RawStep) -> list[Step]:
    """Run a DATA step."""
    raw.head.fail("DATA steps are not done yet.")
