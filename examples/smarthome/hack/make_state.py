#!/usr/bin/env python3
"""Draws examples/smarthome/domain/state.json, once: `python3 examples/smarthome/hack/make_state.py`. Same seed, same file.

Homes are divided among the splits by a hash of their id, and every record of a home goes with it (`split` in domain.yaml). So a
record refers only to records of its own home.
"""

import datetime
import json
import random
from pathlib import Path

SEED = 2025
HOMES = 400
FIRST = "ada ben cleo dan eva finn gus hana ivo jana kurt lena milo nora otto pia quin rosa sven tara".split()
LAST = "abel berg conti dorn ekman falk grau holm ilic jung koch lund maas nagy orth pohl reis sand toth wolf".split()
ROOMS = ["hall", "kitchen", "bedroom", "office", "porch", "cellar"]
KINDS = dict(lamp=23, plug=19, camera=17, lock=19, thermostat=14, sensor=8)
VERSIONS = ["1.8.2", "2.1.0", "2.3.1", "2.4.0", "3.0.5"]

DOMAIN = Path(__file__).parent.parent / "domain"
# The domain's tools, for the rule by which they set the LED of a device.
tools = {}
for name in ["tools.py", "user_tools.py"]:
    exec((DOMAIN / name).read_text(), tools)

rng = random.Random(SEED)


def weighted(**weights):
    return rng.choices(list(weights), list(weights.values()))[0]


def ids(prefix, shapes, count):
    """Different ids such as dev_7f3a, in a random order."""
    found = {}
    while len(found) < count:
        found[f"{prefix}_" + "".join(rng.choice(shape) for shape in shapes)] = True
    return list(found)


DIGIT, HEX, LETTER = "0123456789", "abcdef", "abcdefghjkmnpqrstuvwxyz"


def hardware(home_id):
    """A device as it stands in the home."""
    trouble = weighted(none=44, power=9, password=9, far=18, unpaired=9, faulty=11)
    thing = {
        "home_id": home_id,
        "powered": trouble != "power",
        "paired": trouble != "unpaired",
        "ready": False,
        "password": "old" if trouble == "password" else "current",
        "place": "far" if trouble == "far" else "mid" if trouble == "none" and rng.random() < 0.4 else "near",
        "faulty": trouble == "faulty",
        "firmware": rng.choice(VERSIONS),
        "update": "",
        "led": "",
        "unreported": False,
    }
    thing["led"] = tools["_led"](thing)
    return thing


def device(home_id, kind, thing):
    """The same device as the cloud knows it."""
    online = thing["led"] == "green"
    later = VERSIONS[VERSIONS.index(thing["firmware"]) + 1 :]
    return {
        "home_id": home_id,
        "status": "active",
        "kind": kind,
        "label": f"{rng.choice(ROOMS)} {kind}",
        "online": online,
        "signal": {"near": 4, "mid": 1}[thing["place"]] if online else 0,
        "firmware": thing["firmware"],
        "offered": rng.choice(later) if later and rng.random() < 0.75 else "",
        "age_months": rng.choice([3, 7, 11, 15, 18, 22, 24, 25, 28, 31, 36]),
        "automation": "",
        "power": weighted(on=1, off=1) if kind != "sensor" else "on",
        "level": rng.choice([0, 40, 70, 100]),
    }


def day(first, last):
    return (datetime.date(2025, 3, 10) + datetime.timedelta(days=rng.randrange(first, last))).isoformat()


homes, users, devices, things, automations, invoices = {}, {}, {}, {}, {}, {}
home_ids, user_ids = ids("home", [DIGIT + LETTER, DIGIT + LETTER], HOMES), ids("user", [DIGIT, LETTER, DIGIT], HOMES)
device_ids, invoice_ids = iter(ids("dev", [DIGIT, HEX, DIGIT, HEX], HOMES * 8)), iter(ids("inv", [DIGIT, DIGIT, LETTER, DIGIT], HOMES * 3))
for home_id, user_id in zip(home_ids, user_ids):
    first, last = rng.choice(FIRST), rng.choice(LAST)
    users[user_id] = {"home_id": home_id, "name": f"{first} {last}", "email": f"{first}.{last}@example.org"}
    kinds = rng.choices(list(KINDS), list(KINDS.values()), k=rng.randrange(4, 8))
    plan = weighted(basic=34, plus=35, pro=31)
    homes[home_id] = {
        "owner": user_id,
        "plan": plan,
        "next_plan": "",
        "billing": weighted(paid=82, overdue=18),
        "renews": day(1, 90),
        "region": rng.choice(["north", "south", "east"]),
        "cameras": kinds.count("camera"),
        "automations": 0,
    }
    own = []
    for kind in kinds:
        own.append(next(device_ids))
        things[own[-1]] = hardware(home_id)
        devices[own[-1]] = device(home_id, kind, things[own[-1]])
    switched = [one for one in own if devices[one]["kind"] in ("lamp", "plug")]
    rng.shuffle(switched)
    for number, one in enumerate(switched[: rng.choice([0, 1, 2, 3, 3])], 1):
        automation = f"auto_{home_id[5:]}{number}"
        rule = {
            "trigger": {"type": "time", "at": rng.choice(["06:15", "08:00", "18:45", "21:30"])},
            "actions": [{"device": one, "set": {"power": weighted(on=1, off=1)}}],
        }
        automations[automation] = {"home_id": home_id, "rule": rule}
        devices[one]["automation"] = automation
        homes[home_id]["automations"] = number
    for _ in range(3):
        status = weighted(paid=35, charged_twice=55, refunded=10)
        amount = {"basic": 4, "plus": 9, "pro": 19}[plan] * rng.randrange(1, 8) + rng.choice([0.0, 0.5, 0.9])
        invoices[next(invoice_ids)] = {"home_id": home_id, "amount": round(amount, 2), "status": status, "weeks": rng.randrange(1, 13)}

state = {
    "homes": homes,
    "users": users,
    "devices": devices,
    "hardware": things,
    "automations": automations,
    "invoices": invoices,
    "orders": {},
    "cases": {},
}

# One record a line: a checker names lines, and a diff shows records.
parts = []
for name, records in state.items():
    lines = ",\n".join(f"{json.dumps(id)}: {json.dumps(record)}" for id, record in sorted(records.items()))
    parts.append(f"{json.dumps(name)}: {{\n{lines}\n}}" if records else f"{json.dumps(name)}: {{}}")
target = DOMAIN / "state.json"
target.write_text("{\n" + ",\n".join(parts) + "\n}\n")
print(f"{target}: {sum(len(records) for records in state.values())} records")
