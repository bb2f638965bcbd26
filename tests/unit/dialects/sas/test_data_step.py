"""DATA steps: input, loops, arrays, BY, SET and MERGE, limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def made(program: str, name: str = "a", **data: object) -> dict[str, np.ndarray]:
    out = mm.sas(program, data=data or None)
    found = out.objects[name]
    return {key: np.asarray(found[key]) for key in found}


def test_held_lines_and_assignments() -> None:
    a = made("data a; input x y $ @@; z = x ** 2; if y = 'b' then delete; cards;\n1 a 2 b 3 c\n. d\n;\nrun;")
    np.testing.assert_array_equal(a["x"], [1, 3, np.nan])
    np.testing.assert_array_equal(a["z"], [1, 9, np.nan])
    assert list(a["y"]) == ["a", "c", "d"]


def test_columns_formats_and_separators() -> None:
    a = made("data a; input a 1-3 b $ 5-8 @10 x 4.1; datalines;\n 12 text 1234\n  7 more   50\n;\nrun;")
    assert list(a["b"]) == ["text", "more"]
    np.testing.assert_allclose(a["x"], [123.4, 5.0])
    b = made('data a; infile cards dsd firstobs=2; input n :$12. v; cards;\nn,v\n"Doe, J",3\nRoe,\n;\nrun;')
    assert list(b["n"]) == ["Doe, J", "Roe"]
    np.testing.assert_array_equal(b["v"], [3, np.nan])


def test_loops_arrays_sums_and_first() -> None:
    a = made(
        """data long; do id = 1 to 3; do t = 1, 2, 4; y = id * t; output; end; end; run;
        data a; set long; by id; retain total 0; if first.id then total = 0; total + y;
        array d{2} d1-d2; do i = 1 to 2; d{i} = total * i; end; drop i t y; if last.id; run;"""
    )
    np.testing.assert_array_equal(a["total"], [7, 14, 21])
    np.testing.assert_array_equal(a["d2"], [14, 28, 42])
    assert list(a) == ["id", "total", "d1", "d2"]


def test_merge_select_and_length() -> None:
    left, right = (
        pd.DataFrame({"id": [1, 1, 2], "x": [1.0, 2.0, 3.0]}),
        pd.DataFrame({"id": [1, 3], "z": [5.0, 6.0]}),
    )
    a = made(
        """data a; length g $ 6; merge l(in=inl) r; by id; if inl; select (id); when (1) g = 'one'; otherwise
        g = 'others'; end; run;""",
        l=left,
        r=right,
    )
    np.testing.assert_array_equal(a["z"], [5, 5, np.nan])
    assert list(a["g"]) == ["one", "one", "others"]


def test_missing_is_smaller_than_any_number() -> None:
    a = made("data a; x = .; y = (x < -1e10); z = max(x, 2); w = x + 1; u = sum(x, 1); run;")
    assert (a["y"][0], a["z"][0], a["u"][0]) == (1.0, 2.0, 1.0)
    assert np.isnan(a["w"][0])


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("data a; do while (1); x = 1; end; run;", "more than 5,000,000 statements"),
        ("data a; infile 'c:/x.csv'; input x; run;", "line 1, column 16: INFILE: a program opens no file"),
        ("libname a 'b';", "opens no file"),
        ("data a; x = foo(1); run;", r"function foo\(\) is not done"),
        ("data a; set nothing; run;", "there is no data set 'nothing'"),
        ("data a; x = 'a' + 1; run;", "a text stands where a number is needed"),
        ("data a; call execute('x'); run;", "CALL|call"),
        ("proc import file='x'; run;", "PROC IMPORT is not done"),
        ("%include 'x';", "%include is not read"),
    ],
)
def test_what_is_refused_has_line_and_column(program: str, message: str) -> None:
    with pytest.raises(mm.SpecError, match=message) as caught:
        mm.sas(program)
    assert "line 1, column" in str(caught.value)
