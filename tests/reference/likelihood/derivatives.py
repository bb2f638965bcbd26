"""Log densities and their derivatives by numerical differentiation at 50 digits, printed as JSON.

python -m venv /tmp/mp && /tmp/mp/bin/pip install mpmath && /tmp/mp/bin/python derivatives.py > derivatives.json

Every density is written from its textbook form, not from the formulas of the package; one case is a family, a link, a
response and a point, with ∂^k ℓ for every k of total order ≤ 3 in (η, ζ).
"""

from __future__ import annotations

import itertools
import json

import mpmath as mp

mp.mp.dps = 50
M = mp.mpf

LINKS = {
    "identity": lambda e: e,
    "log": mp.exp,
    "inverse": lambda e: 1 / e,
    "inverse_squared": lambda e: e ** M("-0.5"),
    "sqrt": lambda e: e**2,
    "power(0.5)": lambda e: e**2,
    "logit": lambda e: 1 / (1 + mp.exp(-e)),
    "probit": mp.ncdf,
    "cloglog": lambda e: 1 - mp.exp(-mp.exp(e)),
    "loglog": lambda e: mp.exp(-mp.exp(-e)),
    "cauchit": lambda e: M(1) / 2 + mp.atan(e) / mp.pi,
}


def gaussian(y, mu, z):
    return -(mp.log(2 * mp.pi) + z) / 2 - (y - mu) ** 2 / (2 * mp.exp(z))


def lognormal(y, mu, z):
    return gaussian(mp.log(y), mu, z) - mp.log(y)


def inverse_gaussian(y, mu, z):
    return -(mp.log(2 * mp.pi * y**3) + z) / 2 - (y - mu) ** 2 / (2 * mp.exp(z) * mu**2 * y)


def gamma(y, mu, z):
    shape = mp.exp(z)
    return shape * mp.log(shape / mu) + (shape - 1) * mp.log(y) - shape * y / mu - mp.loggamma(shape)


def exponential(y, mu, z):
    return -mp.log(mu) - y / mu


def poisson(y, mu, z):
    return y * mp.log(mu) - mu - mp.loggamma(y + 1)


def binomial(y, mu, z, m=7):
    return mp.log(mp.binomial(m, y)) + y * mp.log(mu) + (m - y) * mp.log(1 - mu)


def nb2(y, mu, z):
    k = mp.exp(z)
    return (
        mp.loggamma(y + k)
        - mp.loggamma(k)
        - mp.loggamma(y + 1)
        + k * mp.log(k / (k + mu))
        + y * mp.log(mu / (k + mu))
    )


def geometric(y, mu, z):
    return y * mp.log(mu / (1 + mu)) - mp.log(1 + mu)


def nb1(y, mu, z):
    return nb2(y, mu, mp.log(mu) - z)


def genpois(y, mu, z):
    theta, lam = mu * mp.exp(-z / 2), 1 - mp.exp(-z / 2)
    return mp.log(theta) + (y - 1) * mp.log(theta + lam * y) - theta - lam * y - mp.loggamma(y + 1)


def beta(y, mu, z):
    phi = mp.exp(z)
    a, b = mu * phi, (1 - mu) * phi
    return mp.loggamma(phi) - mp.loggamma(a) - mp.loggamma(b) + (a - 1) * mp.log(y) + (b - 1) * mp.log(1 - y)


def betabinomial(y, mu, z, m=7):
    phi = mp.exp(z)
    a, b = mu * phi, (1 - mu) * phi
    return mp.log(mp.binomial(m, y)) + mp.log(mp.beta(y + a, m - y + b)) - mp.log(mp.beta(a, b))


def student(y, mu, z, nu=6):
    return (
        mp.loggamma(M(nu + 1) / 2)
        - mp.loggamma(M(nu) / 2)
        - mp.log(nu * mp.pi) / 2
        - z / 2
        - M(nu + 1) / 2 * mp.log(1 + (y - mu) ** 2 / (nu * mp.exp(z)))
    )


def tweedie(y, mu, z):
    p, phi = M("1.6"), mp.exp(z)
    rate, shape, scale = mu ** (2 - p) / (phi * (2 - p)), (2 - p) / (p - 1), phi * (p - 1) * mu ** (p - 1)
    if y == 0:
        return -rate
    total = mp.nsum(
        lambda j: mp.exp(
            j * mp.log(rate)
            - mp.loggamma(j + 1)
            + (j * shape - 1) * mp.log(y / scale)
            - mp.loggamma(j * shape)
        ),
        [1, 150],
    )
    return mp.log(total) - rate - y / scale - mp.log(scale)


CASES = [
    (gaussian, "gaussian", ("identity", "log", "inverse", "sqrt", "power(0.5)"), (M("1.7"),), True),
    (lognormal, "lognormal", ("identity",), (M("1.7"),), True),
    (
        inverse_gaussian,
        "inverse_gaussian",
        ("inverse_squared", "log", "inverse", "identity", "sqrt"),
        (M("1.7"),),
        True,
    ),
    (gamma, "gamma", ("log", "inverse", "identity", "sqrt"), (M("1.7"), M("0.01")), True),
    (exponential, "exponential", ("log", "inverse", "identity"), (M("1.7"),), False),
    (poisson, "poisson", ("log", "identity", "sqrt"), (0, 3), False),
    (
        binomial,
        "binomial",
        ("logit", "probit", "cloglog", "loglog", "cauchit", "log", "identity"),
        (0, 3, 7),
        False,
    ),
    (nb2, "nb2", ("log", "identity", "sqrt"), (0, 4), True),
    (geometric, "geometric", ("log", "identity"), (0, 4), False),
    (nb1, "nb1", ("log", "identity", "sqrt"), (0, 4), True),
    (genpois, "genpois", ("log", "sqrt"), (0, 4), True),
    (beta, "beta", ("logit", "probit", "cloglog", "loglog", "cauchit"), (M("0.3"), M("0.001")), True),
    (betabinomial, "betabinomial", ("logit", "probit", "cloglog", "loglog", "cauchit"), (0, 3, 7), True),
    (student, "t", ("identity", "log"), (M("1.7"),), True),
    (tweedie, "tweedie", ("log",), (0, M("1.7")), True),
]
POINTS = {"unit": (M("-1.3"), M("0.4"), M("1.1")), "positive": (M("0.45"), M("0.8"))}
BELOW_ONE = {"log": (M("-1.3"), M("-0.2")), "identity": (M("0.3"), M("0.8"))}


def derivatives(at, eta, zeta, dispersed):
    """Return ∂^{i+j} ℓ by name `"ij"`."""
    orders = [(i, j) for i in range(4) for j in range(4 - i if dispersed else 1)]
    return {
        f"{i}{j}": mp.nstr(mp.diff(at, (eta, zeta), (i, j)) if i + j else at(eta, zeta), 17)
        for i, j in orders
    }


def main() -> None:
    found = []
    for density, family, links, responses, dispersed in CASES:
        for link in links:
            inside = (
                "unit" if link in ("log", "logit", "probit", "cloglog", "loglog", "cauchit") else "positive"
            )
            points = BELOW_ONE.get(link, POINTS[inside]) if family == "binomial" else POINTS[inside]
            for y, eta, zeta in itertools.product(
                responses, points, (M("0.3"), M("-0.9")) if dispersed else (M(0),)
            ):

                def at(e, z, density=density, y=y, link=link):
                    return density(M(y), LINKS[link](e), z)

                if mp.im(at(eta, zeta)):
                    continue  # outside the support of an under-dispersed generalised Poisson
                point = {
                    "family": family,
                    "link": link,
                    "y": float(y),
                    "eta": float(eta),
                    "zeta": float(zeta),
                }
                found.append(point | derivatives(at, eta, zeta, dispersed))
    print(json.dumps(found, indent=0))


if __name__ == "__main__":
    main()
