#!/usr/bin/env python3
"""Draws examples/courier/domain/state.json, once: `python3 examples/courier/hack/make_state.py`. Same seed, same file.

Records belong to one of three sides, told by the digit sum of their id modulo 10 (0-2, 3-5, 6-9): those are the sides
from which held-out tasks, demonstrations and rollouts are drawn. A record refers only to records of its own side.
"""

import json
import random
from pathlib import Path

SEED = 2025
PARCELS, CUSTOMERS, POINTS, DEPOTS, CLAIMS = 6000, 900, 600, 120, 900
FIRST = "ada ben cleo dan eva finn gus hana ivo jana kurt lena milo nora otto pia quin rosa sven tara".split()
LAST = "abel berg conti dorn ekman falk grau holm ilic jung koch lund maas nagy orth pohl reis sand toth wolf".split()
CITIES = "aarau basel chur davos enge flums gais hinwil ins jona kloten laufen murten nyon olten pully".split()

rng = random.Random(SEED)


def weighted(**weights):
    return rng.choices(list(weights), list(weights.values()))[0]


def side(id):
    total = sum(int(d) for d in id) % 10
    return 0 if total < 3 else 1 if total < 6 else 2


pool = rng.sample(range(10000, 100000), PARCELS + CUSTOMERS + POINTS + DEPOTS + CLAIMS)
ids = {}
for name, count in [("parcels", PARCELS), ("customers", CUSTOMERS), ("points", POINTS), ("depots", DEPOTS), ("claims", CLAIMS)]:
    ids[name] = sorted(str(pool.pop()) for _ in range(count))


def beside(collection, id):
    """A record of the collection on the same side, not the record itself."""
    while True:
        other = rng.choice(ids[collection])
        if side(other) == side(id) and other != id:
            return other


def parcel(id):
    status = weighted(new=17, sorted=12, transit=16, out=6, missed=15, point=14, lost=10, damaged=10)
    missed, gone = status == "missed", status in ("lost", "damaged")
    dear = gone and rng.random() < 0.25
    return {
        "owner": beside("customers", id),
        "status": status,
        # What was missed, lost or damaged is where the rare rules lie: enough of each kind, for every side.
        "size": weighted(s=30, m=30, l=40) if missed else weighted(s=40, m=35, l=25),
        "paid": weighted(card=60, cash=20, voucher=20),
        "abroad": rng.random() < 0.15,
        "value": float(rng.randrange(500, 700) if dear else rng.randrange(100, 700)),
        "insured": rng.random() < (0.7 if gone else 0.6),
        "tries": rng.choice([1, 1, 2, 3]) if missed else 0,
        "weeks": rng.choice([1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8] if gone else range(1, 9)),
        "held": rng.randrange(1, 6) if status == "point" and rng.random() < 0.3 else 0,
        "depot": beside("depots", id),
        "address": str(rng.randrange(10000, 100000)),
        "point": beside("points", id) if status == "point" else "",
        "slot": "",
        "refunded": 0.0,
    }


full = {id: rng.random() < 0.4 for id in ids["points"]}
roomy = [id for id in ids["points"] if not full[id]]
points = {}
for id in ids["points"]:
    near = rng.choice([o for o in roomy if side(o) == side(id) and o != id])
    points[id] = {"room": 0 if full[id] else rng.randrange(1, 10), "near": near}

state = {
    "parcels": {id: parcel(id) for id in ids["parcels"]},
    "customers": {
        id: {"name": f"{rng.choice(FIRST)} {rng.choice(LAST)}", "level": weighted(basic=70, gold=30)}
        for id in ids["customers"]
    },
    "points": points,
    "depots": {id: {"city": rng.choice(CITIES)} for id in ids["depots"]},
    "claims": {
        id: {
            "parcel": beside("parcels", id),
            "state": weighted(open=70, paid=30),
            "weeks": rng.randrange(1, 9),
            "sum": float(rng.randrange(100, 700)),
        }
        for id in ids["claims"]
    },
    "cases": {},
}

# One record a line: a checker names lines, and a diff shows records.
parts = []
for name, records in state.items():
    lines = ",\n".join(f'{json.dumps(id)}: {json.dumps(record)}' for id, record in records.items())
    parts.append(f"{json.dumps(name)}: {{\n{lines}\n}}" if records else f"{json.dumps(name)}: {{}}")
target = Path(__file__).parent.parent / "domain" / "state.json"
target.write_text("{\n" + ",\n".join(parts) + "\n}\n")
print(f"{target}: {sum(len(r) for r in state.values())} records")
