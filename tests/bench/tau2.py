"""Adds tau2-bench's own evaluator to the rows of a benchmark: tau2.py BENCH_TAU2 RESULT (out/bench-tau2/result.json, out/bench/result.json)."""

import json
import pathlib
import sys

beside, result = (pathlib.Path(name) for name in sys.argv[1:])
found, bench = json.loads(beside.read_text()), json.loads(result.read_text())
tasks = found["tasks"]
if found["same_reward_and_breakdown"] != tasks:
    sys.exit(f"bench: {found['same_reward_and_breakdown']} of {tasks} tasks have the same reward and breakdown; unlike: {found['unlike'][:3]}")
row = {
    "name": "tau2 airline",
    "ours": round(found["ours_ms"]["sum"] / tasks, 2),
    "peer": round(found["tau2_ms"]["sum"] / tasks, 1),
    "unit": "ms/task",
    "ratio": round(found["ratio"]["of_sums"], 1),
    "aim": 100.0,
    "least": round(found["ratio"]["least"], 1),
    "resetMs": found["reset_ms"],
    "fingerprintMs": found["fingerprint_ms"],
    "notSame": found["not_the_same"],
}
bench["rows"] = [one for one in bench["rows"] if one["name"] != row["name"]] + [row]
result.write_text(json.dumps(bench, indent=1) + "\n")
print(f"{row['name']:16} ours {row['ours']:>10} peer {row['peer']:>10} {row['unit']:9} ratio {row['ratio']}, {tasks} of {tasks} tasks with the same reward")
