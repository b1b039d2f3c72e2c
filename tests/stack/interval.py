"""95 % intervals of rates whose tasks come in families: tasks of one family succeed and fail together, so a family counts as one.

The formulas are those of `agoge eval`: Wilson's interval of the effective number of trials (Korn and Graubard 1998)."""

from collections import defaultdict
from math import sqrt
from statistics import NormalDist, fmean

Z = NormalDist().inv_cdf(0.975)


def student(df: int) -> float:
    """The 97.5 % quantile of Student's distribution (Abramowitz and Stegun 26.7.5), for 3 degrees of freedom or more."""
    terms = ((Z**3 + Z) / 4, (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96, (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384)
    return Z + sum(term / df**power for power, term in enumerate(terms, 1))


def spread(values: list[tuple[str, float]]) -> tuple[float, float, int]:
    """The mean of values with their families, its variance, and the number of families."""
    mean = fmean(value for _, value in values)
    totals: dict[str, float] = defaultdict(float)
    for family, value in values:
        totals[family] += value - mean
    families = len(totals)
    if families < 4:
        raise ValueError(f"{families} families are too few for an interval; play more tasks")
    squares = sum(total**2 for total in totals.values())
    return mean, families / (families - 1) * squares / len(values) ** 2, families


def rate(values: list[tuple[str, float]]) -> dict:
    """A rate of passes with its interval."""
    mean, variance, families = spread(values)
    trials = max(mean * (1 - mean) / variance * (Z / student(families - 1)) ** 2, 1.0) if variance > 0 else families
    centre = (mean + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    half = Z / (1 + Z**2 / trials) * sqrt(mean * (1 - mean) / trials + Z**2 / (4 * trials**2))
    return {"value": mean, "low": max(centre - half, 0.0), "high": min(centre + half, 1.0), "n": len(values)}


def difference(values: list[tuple[str, float]]) -> dict:
    """The mean of paired differences with its interval; without any variance its half is 3 over the number of families."""
    mean, variance, families = spread(values)
    half = student(families - 1) * sqrt(variance) if variance > 0 else 3 / families
    return {"value": mean, "low": max(mean - half, -1.0), "high": min(mean + half, 1.0), "n": len(values)}
