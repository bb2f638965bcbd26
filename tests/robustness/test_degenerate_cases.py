"""Small models that ended in a crash or an impossible number: a table with its note now, or one clear error of ours."""

from __future__ import annotations

import io
import os
import re
import runpy
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import mixedmodels as mm
from frame_truths import RAW

CASES = Path(os.environ.get("MIXEDMODELS_CASES", Path(__file__).parents[3] / "shared" / "cases"))
ANSWERS = {
    "exact_fit": "perfect fit",
    "negative_df": r"\(1 \+ x \| h\): the fixed part, by 'x:C\(h\)', holds the effects of 'x'",
    "tiny_pivot": "",
    "zero_df_anova": "Use ddf='satterthwaite' or 'between-within'",
    "zero_df_pairs": "2 columns for each of 4 levels of 'g' are 8 random effects for 8 rows",
    "zero_df_type1": "",
    "zero_se_power_fitted": r"\(1 \| f\): the fixed part, by 'C\(f, contr.sum\)', holds the whole term",
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases lie beside the project where they are shared")
@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_degenerate_models_end_in_a_table_or_one_clear_error(name: str) -> None:
    shown = io.StringIO()
    with redirect_stdout(shown), warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        try:
            runpy.run_path(str(CASES / "degenerate" / f"{name}.py"))
        except mm.MixedModelsError as error:
            shown.write(str(error))
    text = shown.getvalue()
    assert re.search(ANSWERS[name], text)
    assert RAW.search(text) is None
