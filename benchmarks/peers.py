"""The tools that are compared: where each runs and how it is started."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool: `home` is `"own"` (this interpreter), `"peers"` (the peers' environment) or `"R"`.

    `load` is the statement timed as loading; it names the fitting function, which may be loaded lazily.
    """

    name: str
    home: str
    distribution: str
    load: str
    about: str

    def interpreter(self) -> str:
        """The program that runs the tool."""
        if self.home == "own":
            return sys.executable
        if self.home == "R":
            return "Rscript"
        return str(peers_environment() / "bin" / "python")

    def worker_command(self, folder: Path, model: str, threads: int) -> list[str]:
        """The command of a worker process for one case."""
        script = HERE / ("worker.R" if self.home == "R" else "worker.py")
        return [self.interpreter(), str(script), self.name, str(folder), model, str(threads)]

    def load_command(self) -> list[str]:
        """The command that loads the tool and does nothing else."""
        option = "-e" if self.home == "R" else "-c"
        return [self.interpreter(), option, self.load]

    def installed_command(self) -> list[str]:
        """The command that succeeds exactly where the tool is installed."""
        if self.home == "R":
            return ["Rscript", "-e", f"packageVersion('{self.distribution}')"]
        return [
            self.interpreter(),
            "-c",
            f"import importlib.metadata as m; m.version('{self.distribution}')",
        ]


def peers_environment() -> Path:
    """The virtual environment of the Python peers: `PEERS_VENV`, or `.peers` beside this file."""
    return Path(os.environ.get("PEERS_VENV", HERE / ".peers"))


_STATSMODELS = "from statsmodels.formula.api import mixedlm"
_GPBOOST = "from gpboost import GPModel"
_LME4, _NLME, _GLMMTMB, _PBKRTEST = (
    f"suppressPackageStartupMessages(library({name}))" for name in ("lme4", "nlme", "glmmTMB", "pbkrtest")
)

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("mixedmodels", "own", "mixedmodels", "from mixedmodels import lmm", "this package"),
        Peer("glmm", "peers", "glmm", "from glmm import fit", "default call: Satterthwaite df, Hessian SEs"),
        Peer("glmm-lean", "peers", "glmm", "from glmm import fit", "no Satterthwaite df, no Hessian SEs"),
        Peer("lme4", "R", "lme4", _LME4, "lmer, default control"),
        Peer("lme4-lean", "R", "lme4", _LME4, "lmer without the derivative check after convergence"),
        Peer("nlme", "R", "nlme", _NLME, "gls with corSymm and varIdent, corCAR1 or corExp; default control"),
        Peer("glmmTMB", "R", "glmmTMB", _GLMMTMB, "us() or ar1(), dispformula = ~0; default control"),
        Peer("pbkrtest", "R", "pbkrtest", _PBKRTEST, "vcovAdj and Lb_ddf of an lmer fit"),
        Peer("mixedlm", "peers", "mixedlm", "from mixedlm import lmer", "lmer, default control"),
        Peer("lme-python", "peers", "lme-python", "from lme_python import lmer", "lmer on a polars frame"),
        Peer("statsmodels", "peers", "statsmodels", _STATSMODELS, "MixedLM"),
        Peer("gpboost", "peers", "gpboost", _GPBOOST, "ML, uncorrelated slopes; default solver"),
        Peer("gpboost-cholesky", "peers", "gpboost", _GPBOOST, "ML, uncorrelated slopes; Cholesky"),
    )
}

DEFAULT_PEERS = tuple(name for name in PEERS if name not in ("lme4-lean", "gpboost-cholesky"))
