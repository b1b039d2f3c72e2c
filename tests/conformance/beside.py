#!/usr/bin/env python3
"""Puts our times beside those of tau2-bench's evaluator: `beside.py OURS THEIRS RESULT`.

Fails when a reward or a breakdown differs, or when the sum over all tasks is less than 100 times faster.
"""

import json
import statistics
import sys
from pathlib import Path

NAMES = {"DB": "state", "COMMUNICATE": "outputs", "ENV_ASSERTION": "asserts", "ACTION": "calls"}
LEAST = 100


def parts(breakdown, names):
    """The components by our names; one that is missing counts as 1."""
    return {ours: breakdown.get(name, 1.0) for name, ours in names.items()}


def main():
    ours, theirs = (json.loads(Path(file).read_text()) for file in sys.argv[1:3])
    ours_parts = {name: name for name in NAMES.values()}
    unlike = [
        task
        for task, their in theirs["tasks"].items()
        if ours["tasks"][task]["reward"] != their["reward"]
        or parts(ours["tasks"][task]["breakdown"], ours_parts) != parts(their["breakdown"], NAMES)
    ]
    ms = {side: [task["ms"] for task in rows["tasks"].values()] for side, rows in (("ours", ours), ("tau2", theirs))}
    ratios = [their["ms"] / ours["tasks"][task]["ms"] for task, their in theirs["tasks"].items()]
    result = {
        "domain": ours["domain"],
        "tasks": len(theirs["tasks"]),
        "same_reward_and_breakdown": len(theirs["tasks"]) - len(unlike),
        "unlike": unlike,
        "tau2_ms": {"median": statistics.median(ms["tau2"]), "sum": sum(ms["tau2"]), "runs": theirs["runs"]},
        "ours_ms": {"median": statistics.median(ms["ours"]), "sum": sum(ms["ours"]), "runs": ours["runs"]},
        "ratio": {"of_sums": sum(ms["tau2"]) / sum(ms["ours"]), "median": statistics.median(ratios), "least": min(ratios)},
        "tau2_construct_ms": theirs["construct_ms"],
        "tau2_hash_ms": theirs["hash_ms"],
        "state_bytes": ours["state_bytes"],
        "load_ms": ours["load_ms"],
        "reset_ms": ours["reset_ms"],
        "fingerprint_ms": ours["fingerprint_ms"],
        "canonical_hash_ms": ours["tau2_hash_ms"],
        "not_the_same": "tau2-bench reads and validates its database anew in each evaluation; ours is loaded once, see load_ms "
        "(import, replay of every gold and opening the sandbox). Both play the trajectory and the gold again. Wall time.",
    }
    Path(sys.argv[3]).write_text(json.dumps(result, indent=1) + "\n")
    ratio = result["ratio"]
    print(
        f"{result['domain']}: {result['same_reward_and_breakdown']}/{result['tasks']} same reward and breakdown; "
        f"median {result['tau2_ms']['median']:.0f} ms and {result['ours_ms']['median']:.2f} ms, "
        f"{ratio['of_sums']:.0f}x over all tasks, {ratio['least']:.0f}x at least; "
        f"reset {result['reset_ms']:.4f} ms, fingerprint {result['fingerprint_ms']:.4f} ms at {result['state_bytes'] / 1e6:.1f} MB"
    )
    small = result["reset_ms"] < 0.1 and result["fingerprint_ms"] < 0.1
    if unlike or ratio["of_sums"] < LEAST or not small:
        sys.exit("bench-tau2: not what it must show, see above")


if __name__ == "__main__":
    main()
