"""Each fit with its dense algebra."""

from __future__ import annotations

import pytest

from fitted_models import MODELS, Oracle, make_oracle, weighted_fit
from mixedmodels.fit import Fit


@pytest.fixture(params=list(MODELS))
def fit(request: pytest.FixtureRequest) -> Fit:
    return MODELS[request.param]()


@pytest.fixture
def weighted() -> Fit:
    return weighted_fit()


@pytest.fixture
def oracle(fit: Fit) -> Oracle:
    return make_oracle(fit)
