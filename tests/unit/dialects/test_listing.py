"""What running a program gives."""

from __future__ import annotations

import pickle

import pytest

import mixedmodels as mm
from mixedmodels.dialects.listing import Listing, Named, Step
from mixedmodels.table import Table


def _listing() -> Listing:
    fit = mm.lmm("travel ~ 1 + (1 | Rail)", mm.datasets.load("rail"))
    first = Step("PROC MIXED", 3, (fit,), {"Tests3": Table({"effect": ["a<b"]})}, ("ods graphics on",))
    second = Step("PROC MIXED", 9, tables={"Tests3": Table({"effect": ["c"]})}, silent=True)
    return Listing((first, second), Named(dent=1))


def test_tables_are_found_by_name_whatever_the_case_and_the_last_one_holds() -> None:
    listing = _listing()
    assert listing.tables["TESTS3"]["effect"].tolist() == ["c"]
    assert listing.steps[0].tables["Tests3"]["effect"].tolist() == ["a<b"]
    assert "tests3" in listing.tables
    assert len(listing.fits) == 1
    assert listing.objects["DENT"] == 1
    assert listing.tables.get("nothing") is None
    with pytest.raises(mm.SpecError, match=r"'Test3' is not in the listing. Did you mean 'Tests3'"):
        listing.tables["Test3"]


def test_text_and_html_say_the_same_and_html_is_escaped() -> None:
    listing = _listing()
    assert listing.text.startswith("PROC MIXED\n\neffect\na<b\n\nNOTE: ods graphics on")
    assert "effect\nc" not in listing.text
    assert "a&lt;b" in listing.to_html()
    assert "a<b" not in listing.to_html()
    assert "NOTE: ods graphics on" in listing.to_html()


def test_a_listing_pickles() -> None:
    assert pickle.loads(pickle.dumps(_listing())).text == _listing().text
