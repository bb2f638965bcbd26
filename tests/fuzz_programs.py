"""Programs of SAS and R that nobody would write: every one is read or refused with its place, quickly.

    python tests/fuzz_programs.py --inputs 1000000 --shard 1/2 --log fuzz.jsonl

draws inputs by number (the same number is the same text), runs the batches of a shard that the log lacks, a line each,
and prints the kinds of fault with their counts. Programs of the corpus are cut, spliced, doubled and overwritten with
words and characters. Statements are read to the end, DATA steps run, and models are not fitted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import mixedmodels as mm
from mixedmodels.dialects import nlme
from mixedmodels.dialects.listing import Step
from mixedmodels.dialects.r import fitting as r_fitting
from mixedmodels.dialects.sas import data_run, procedures
from mixedmodels.dialects.sas.known_matrices import known_matrices
from mixedmodels.dialects.sas.read_model import read_model
from mixedmodels.dialects.sas.to_spec import ask
from mixedmodels.errors import MixedModelsError
from r_scripts import scripts
from sas_programs import frames, programs

BATCH = 500
"""Inputs of one line of the log."""
PATIENCE = 3.0
"""Seconds of processor after which an input counts as one that hangs."""
STATEMENTS = 20_000
"""Statements that a DATA step may run here: its own limit takes seconds."""
PLACE = re.compile(r"line \d+, column \d+")
SAS_WORDS = """
proc mixed glimmix data=rcbd data=visits ; class block trt id visit model y = x random repeated / type=un subject=
subject=id group= ( ) * | @ 2 'a' " lsmeans estimate contrast 1 -1 . , run quit data set do end if then else output %
& &a &a. &&a %let %macro %mend %do %to %if %then %else ; datalines; cards; 0.5 1e9 1e400 [ ] { } int intercept ar(1)
sp(exp)(x) un@ar(1) ddfm=kr where by sort input $ @@ array lsmestimate slice parms hold=1 ** <> ^= ods output /*
*/ * 'n' 'a'n '1jan2020'd dist=bin link=logit _residual_ first.x last. drop=x covtest zerog / cl hlm ldata=rcbd
pdata=rcbd (1 to 5) (0 to 1 by 0.1) effect=spline dist=mult x1-x9 x1--x9 x: _all_ ref= descending
freq weight store option retain merge
"""
R_WORDS = """
lme lmer gls glmer ( ) ~ | || / : * + - ^ %in% %>% |> <- = == , ; # ' " ` 1 0 -1 1e9 1e400 0x1F NULL TRUE FALSE NA c(
list( id data= random= weights=varIdent(form=~1|sex) correlation=corAR1( corSymm( pdDiag( pdBlocked( method="ML"
emmeans pairs contrast summary VarCorr $tTable $ [ [[ ] ]] { } function( if ( for ( x\ny anova ranef intervals confint
update( . ~ .
:: nlme:: lme4:: method = "Wald" family = binomial which = "fixed" pairwise ~ @ ? \\ é “ ” library(nlme)
"""
CHARACTERS = "'\"();=*/|@&%.,:-+<>[]{}$#\\~^!?`\n\t \0\r\u00a0\u201c\u2028é漢\U0001f600aZ019_"


class _Unread(Exception):
    """Stop at the end of the time an input has."""


@cache
def _fit() -> Any:
    return mm.lmm("Y ~ age * sex + (1 | id)", mm.datasets.load("orthodont"))


def _read_group(
    session: Any, raw: Any, procedure: str, options: Any, name: str, data: Any, label: str, *rest: Any
) -> Step:
    """Stand in for the step of a model: everything is read, nothing fitted."""
    model = read_model(raw, procedure, options, data)
    known_matrices(session, ask(model, data))
    return Step(procedure, raw.head.line)


def _read_lme(
    formula: Any, data: Any, random: Any, correlation: Any = None, weights: Any = None, **_: Any
) -> Any:
    part = nlme.read_random_argument(random)
    nlme.read_errors(correlation, weights, part.groups)
    return _fit()


def _read_gls(formula: Any, data: Any, correlation: Any = None, weights: Any = None, **_: Any) -> Any:
    nlme.read_errors(correlation, weights, ())
    return _fit()


@contextmanager
def nothing_fitted() -> Iterator[None]:
    """Within it programs are read, and a fit made before stands for every model."""
    kept = [(procedures, "_model_group", _read_group), (r_fitting, "lme", _read_lme), (r_fitting, "gls", _read_gls),
            (data_run, "MOST_STATEMENTS", STATEMENTS)]  # fmt: skip
    kept += [(r_fitting, name, lambda *a, **k: _fit()) for name in ("lmer", "glmer", "glmmTMB", "lm", "glm")]
    before = [(module, name, getattr(module, name)) for module, name, _ in kept]
    for module, name, other in kept:
        setattr(module, name, other)
    try:
        yield
    finally:
        for module, name, own in before:
            setattr(module, name, own)


@cache
def _corpus(language: str) -> tuple[str, ...]:
    found = programs() if language == "sas" else scripts()
    return tuple(found.values())


def text_of(number: int) -> tuple[str, str]:
    """Return the language and the text of an input by its number."""
    rng = np.random.default_rng([1907, number])
    language = "sas" if rng.random() < 0.65 else "r"
    words = (SAS_WORDS if language == "sas" else R_WORDS).split()
    kind = rng.random()
    if kind < 0.05:
        return language, "".join(rng.choice(list(CHARACTERS), rng.integers(1, 120)))
    if kind < 0.15:
        return language, " ".join(rng.choice(words, rng.integers(1, 60)))
    corpus = _corpus(language)
    text = corpus[rng.integers(len(corpus))]
    for _ in range(int(rng.geometric(0.45))):
        text = _changed(text, corpus, words, rng)
    return language, text[:20_000]


def _changed(text: str, corpus: tuple[str, ...], words: list[str], rng: np.random.Generator) -> str:
    """Return a text with one change: at a place a piece is dropped, doubled, moved or another's put in."""
    at = int(rng.integers(len(text) + 1))
    stop = at + int(rng.geometric(0.1))
    which = rng.integers(8)
    if which == 0:
        return text[:at] + text[stop:]
    if which == 1:
        return text[:stop] + text[at:stop] * int(rng.integers(1, 40)) + text[stop:]
    if which == 2:
        return text[:at] + str(rng.choice(list(CHARACTERS))) * int(rng.integers(1, 30)) + text[at:]
    if which == 3:
        other = corpus[rng.integers(len(corpus))]
        return text[:at] + other[int(rng.integers(len(other))) :]
    if which == 4:
        pieces = re.findall(r"\w+|\s+|[^\w\s]", text)
        if len(pieces) > 2:
            i, j = rng.integers(len(pieces), size=2)
            pieces[i], pieces[j] = pieces[j], pieces[i]
        return "".join(pieces)
    if which == 5:
        return text[:at]
    words_in = [(m.start(), m.end()) for m in re.finditer(r"[\w.]+", text)]
    if which == 6 and words_in:
        at, stop = words_in[rng.integers(len(words_in))]
    return f"{text[:at]} {rng.choice(words)} {text[stop if which == 6 else at :]}"


def fault_of(language: str, text: str) -> str:
    """Return what is wrong with how a text is read, empty for nothing."""
    reader: Callable[..., Any] = mm.sas if language == "sas" else mm.r
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader(text, data=frames())
    except MixedModelsError as error:
        return "" if PLACE.search(str(error)) else f"no place: {type(error).__name__}: {error}"[:300]
    except _Unread:
        return f"hangs: {where()}"
    except Exception as error:
        return f"{type(error).__name__} at {where()}: {error}"[:300]
    return ""


def where() -> str:
    """Return file and line of the package's own frame in which an error arose."""
    place, found = sys.exc_info()[2], ""
    while place is not None:
        path = Path(place.tb_frame.f_code.co_filename)
        if "mixedmodels" in path.parts:
            found = f"{path.name}:{place.tb_lineno}"
        place = place.tb_next
    return found


def batch(number: int) -> dict[str, Any]:
    """Return the line of the log of a batch of inputs."""

    def stop(number: int, frame: Any) -> None:
        raise _Unread

    signal.signal(signal.SIGPROF, stop)
    begin, faults, slowest = time.process_time(), [], 0.0
    with nothing_fitted():
        for one in range(number * BATCH, (number + 1) * BATCH):
            language, text = text_of(one)
            start = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            try:
                fault = fault_of(language, text)
            except _Unread:
                fault = "hangs"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            slowest = max(slowest, time.process_time() - start)
            if fault:
                faults.append([one, fault])
    return {
        "batch": number, "seconds": round(time.process_time() - begin, 2), "slowest": round(slowest, 2),
        "faults": faults,
    }  # fmt: skip


def kind_of(fault: str) -> str:
    """Return a fault without what is quoted in it and its numbers in words."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "…", fault)[:120]


def main() -> int:
    """Run the batches asked for and print what was found; return 1 if anything was."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--workers", type=int, default=0, help="processes; one for each processor by default")
    parser.add_argument("--log", type=Path, default=Path("fuzz.jsonl"))
    asked = parser.parse_args()
    shard, shards = (int(part) for part in asked.shard.split("/"))
    lines = asked.log.read_text().splitlines() if asked.log.exists() else []
    done = {entry["batch"]: entry for entry in map(json.loads, lines)}
    wanted = [b for b in range(shard - 1, -(-asked.inputs // BATCH), shards) if b not in done]
    with asked.log.open("a") as log, ProcessPoolExecutor(asked.workers or os.cpu_count()) as pool:
        for entry in pool.map(batch, wanted):
            done[entry["batch"]] = entry
            print(json.dumps(entry), file=log, flush=True)
    faults = [(one, fault) for entry in done.values() for one, fault in entry["faults"]]
    first = {kind_of(fault): (one, fault) for one, fault in reversed(faults)}
    for kind, count in Counter(kind_of(fault) for _, fault in faults).most_common():
        print(f"{count:6d}  input {first[kind][0]:8d}  {first[kind][1]}")
    seconds = sum(entry["seconds"] for entry in done.values())
    slowest = max((entry["slowest"] for entry in done.values()), default=0.0)
    inputs = len(done) * BATCH
    print(
        f"{inputs} inputs, {inputs / max(seconds, 1e-9):.0f} a second of processor, the slowest {slowest} s"
    )
    print(f"{inputs - len(faults)} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
