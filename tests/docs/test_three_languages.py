"""The page of the tutorial's programs shows every one of them, word for word."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from documented_examples import ROOT

SEED = Path(os.environ.get("MIXEDMODELS_SEED", ROOT.parent / "shared" / "seed"))
TUTORIAL = SEED / "introduction-to-linear-mixed-models.md"
CALLS = re.compile(r"\b(lme|lmer|gls|lm|emmeans|intervals|getVarCov|VarCorr|logLik)\(|proc mixed")


def _words(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.skipif(not TUTORIAL.exists(), reason="the tutorial lies beside the repository")
def test_every_program_of_the_tutorial_is_there() -> None:
    page = _words((ROOT / "docs" / "guides" / "three-languages.md").read_text(encoding="utf-8"))
    blocks = re.findall(r"```\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)
    programs = [block for block in blocks if CALLS.search(block)]
    assert len(programs) >= 12
    for block in programs:
        # comments that stand alone on a line are the slide's headings; one slide closes a bracket twice
        lines = [line for line in block.splitlines() if not line.lstrip().startswith("# ")]
        text = _words("\n".join(lines)).replace("groupedDataobject))", "groupedDataobject)")
        text = re.sub(r"\(neednotbeagroupedDataobject\)\)$", "(neednotbeagroupedDataobject)", text)
        assert text in page, block
