"""Analyse recorded replicates: endpoints of patients, arms against control, interim looks, what they all show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from atmpsim.scenario.streams import generator
from atmpsim.scenario.trial_schema import EndpointTable
from atmpsim.trial.compare import NULL, PLAIN, SHUFFLED, Compared, ancova, moments
from atmpsim.trial.design import Design
from atmpsim.trial.endpoints import Outcome, Record, outcome
from atmpsim.trial.looks import levels
from atmpsim.trial.survival import compare_times

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
TIMED = ("logrank", "cox")


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """One arm against the control by one endpoint, in every replicate.

    Attributes
    ----------
    significant
        At the last analysis or, for a primary endpoint with looks, at any of them.
    stopped_at
        Number of the look at which a trial would have stopped, counted from 0; the last analysis comes after them.
    """

    endpoint: EndpointTable
    arm: int
    compared: Compared
    significant: BoolArray
    stopped_at: NDArray[np.int64]


def analyse(design: Design, record: Record, *, seed: int) -> tuple[dict[str, Outcome], list[Comparison]]:
    """Return the endpoints of every patient, and every comparison of an arm with the control."""
    outcomes = {e.name: outcome(e, design, record) for e in design.endpoints}
    made: list[Comparison] = []
    for endpoint in design.endpoints:
        if endpoint.compare != "none":
            made += _compared(endpoint, design, record, outcomes[endpoint.name], seed)
    return outcomes, made


def _compared(
    endpoint: EndpointTable, design: Design, record: Record, found: Outcome, seed: int
) -> Iterator[Comparison]:
    looks = design.table.looks if endpoint.primary else []
    alphas = levels(looks, endpoint.alpha)
    for arm in range(len(design.arms)):
        if arm == design.control or design.ratio[arm] == 0:
            continue
        hits, last = [], None
        for k, share in enumerate([*looks, 1.0]):
            purpose = f"test {endpoint.name} {design.arms[arm]} {k}"
            last = compare(endpoint, _first(found, share), record.arm, arm, design.control,
                           rng=generator(seed=seed, purpose=purpose))  # fmt: skip
            hits.append(last.p <= alphas[k])
        assert last is not None
        any_hit = np.stack(hits)
        stopped = np.where(any_hit.any(axis=0), any_hit.argmax(axis=0), len(looks))
        yield Comparison(
            endpoint=endpoint, arm=arm, compared=last, significant=np.asarray(any_hit.any(axis=0)), stopped_at=stopped
        )


def _first(found: Outcome, share: float) -> Outcome:
    """Return the outcome of the first patients only, in their order of recruitment."""
    if share >= 1.0:
        return found
    number = int(np.floor(share * found.value.shape[1]))
    late = np.arange(found.value.shape[1]) >= number
    return replace(found, value=np.where(late, np.nan, found.value), duration=np.where(late, np.nan, found.duration))


def compare(
    endpoint: EndpointTable,
    found: Outcome,
    arms: NDArray[np.int64],
    arm: int,
    control: int,
    *,
    rng: np.random.Generator,
) -> Compared:
    """Return one arm against another by an endpoint's own test."""
    treated, others, level = arms == arm, arms == control, 1.0 - endpoint.alpha
    if endpoint.compare in TIMED:
        return compare_times(found.duration, found.seen, found.entry, treated, others, level=level,
                             logrank=endpoint.compare == "logrank")  # fmt: skip
    a, b = (_packed(np.where(own, found.value, np.nan), own) for own in (treated, others))
    if endpoint.compare in SHUFFLED:
        return SHUFFLED[endpoint.compare](a, b, rng=rng, level=level)
    if endpoint.compare == "ancova":
        bases = tuple(_packed(np.where(own, found.baseline, np.nan), own) for own in (treated, others))
        return ancova(a, b, (bases[0], bases[1]), level=level)
    return PLAIN[endpoint.compare](a, b, level=level)


def _packed(values: FloatArray, own: BoolArray) -> FloatArray:
    """Return the values of an arm's patients side by side: no wider than the largest such arm of any replicate."""
    order = np.argsort(~own, axis=1, kind="stable")[:, : max(int(own.sum(axis=1).max(initial=0)), 1)]
    return np.take_along_axis(values, order, axis=1)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What all replicates together say of one comparison: how estimates spread, and how often the test is significant.

    `low` and `high` are the exact 95 % interval of the probability of a significant result, whose error is that of the
    number of replicates. `analysable` is the share of replicates in which the test could be made at all.
    """

    endpoint: str
    arm: str
    test: str
    mean: float
    median: float
    spread: float
    p5: float
    p95: float
    significant: float
    low: float
    high: float
    favourable: float
    analysable: float
    replicates: int


def summarise(comparison: Comparison, design: Design) -> Summary:
    """Return what all replicates say of a comparison; a test that could not be made counts as not significant."""
    found = comparison.compared.estimate
    known = np.isfinite(found)
    values = found[known] if known.any() else np.array([np.nan])
    total, hits = comparison.significant.size, int(comparison.significant.sum())
    low, high = exact_interval(hits, total)
    null = NULL.get(comparison.endpoint.compare, 0.0)
    p5, median, p95 = np.quantile(values, [0.05, 0.5, 0.95])
    lower = design.assays[comparison.endpoint.assay].better == "lower"
    gain = comparison.significant & known & ((found < null) if lower else (found > null))
    return Summary(
        endpoint=comparison.endpoint.name, arm=design.arms[comparison.arm], test=comparison.endpoint.compare,
        mean=float(values.mean()), median=float(median),
        spread=float(values.std(ddof=1)) if values.size > 1 else np.nan,
        p5=float(p5), p95=float(p95), significant=hits / total, low=low, high=high, favourable=float(gain.mean()),
        analysable=float(known.mean()), replicates=total,
    )  # fmt: skip


def exact_interval(hits: int, total: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper & Pearson 1934, Biometrika 26:404, doi:10.1093/biomet/26.4.404).

    Examples
    --------
    >>> tuple(round(float(x), 3) for x in exact_interval(18, 34))
    (0.351, 0.702)
    """
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, total - hits + 1))
    high = 1.0 if hits == total else float(stats.beta.ppf(1 - tail, hits + 1, total - hits))
    return low, high


def arm_values(outcomes: Mapping[str, Outcome], record: Record, arms: int) -> dict[str, FloatArray]:
    """Return mean and 95 % interval (of Student's t) of each endpoint of each arm, over (replicate, arm, 3)."""
    made = {}
    for name, found in outcomes.items():
        columns = []
        for arm in range(arms):
            n, mean, var = moments(np.where(record.arm == arm, found.value, np.nan))
            with np.errstate(divide="ignore", invalid="ignore"):
                half = stats.t.ppf(0.975, n - 1) * np.sqrt(var / n)
            columns.append(np.stack([mean, mean - half, mean + half], axis=-1))
        made[name] = np.stack(columns, axis=1)
    return made
