"""Tools of the help desk: accounts, and devices as the cloud knows them. What the cloud knows of a device follows the device
itself: see user_tools.py.
"""

import re
from typing import Literal, NotRequired, TypedDict

FIXED = ["lock", "thermostat"]


class Setting(TypedDict, total=False):
    power: Literal["on", "off"]
    level: int
    """Brightness, or heat, from 0 to 100."""


class Trigger(TypedDict):
    type: Literal["time", "sunrise", "sunset"]
    at: NotRequired[str]
    """The time, such as 06:30; only with the type `time`."""


class Action(TypedDict):
    device: str
    set: Setting


class Rule(TypedDict):
    trigger: Trigger
    actions: list[Action]


class Item(TypedDict):
    kind: Literal["replacement", "extender"]
    device: str
    """The device that is replaced, or that the extender is for."""


def get_device(device_id: str) -> dict:
    """Look up a device as the cloud knows it, and the home that it belongs to.

    Args:
        device_id: On the label of the device, such as `dev_7f3a`.
    """
    device = _known("devices", device_id)
    home = _known("homes", device["home_id"])
    return {
        "kind": device["kind"],
        "online": device["online"],
        "signal": device["signal"],
        "firmware": device["firmware"],
        "offered": device["offered"],
        "age_months": device["age_months"],
        "automation": device["automation"],
        "settings": {"power": device["power"], "level": device["level"]},
        "home": {
            "home_id": device["home_id"],
            "plan": home["plan"],
            "billing": home["billing"],
            "automations": home["automations"],
        },
    }


def get_home(home_id: str) -> dict:
    """Look up a home: plan, billing, day of renewal, region, number of cameras, and its automations.

    Args:
        home_id: In the app under "my home", such as `home_2b`.
    """
    home = _known("homes", home_id)
    shown = ["plan", "billing", "renews", "region", "cameras"]
    return {**{name: home[name] for name in shown}, "automations": db_find("automations", "home_id", home_id)}


def get_invoice(invoice_id: str) -> dict:
    """Look up an invoice: amount, status (paid, charged_twice or refunded) and the weeks since then."""
    return _known("invoices", invoice_id)


def set_device(device_id: str, set: Setting) -> str:
    """Switch a device that is online, or set its level."""
    device = _online(device_id)
    if device["kind"] == "sensor":
        raise ValueError("a sensor has no settings")
    if not set:
        raise ValueError("`set` names nothing to set")
    if not 0 <= set.get("level", 0) <= 100:
        raise ValueError("levels are 0 to 100")
    db_put("devices", device_id, {**device, **set})
    return "ok"


def create_automation(home_id: str, rule: Rule) -> dict:
    """Add an automation to a home: what triggers it, and what it sets."""
    home = _known("homes", home_id)
    if not rule["actions"]:
        raise ValueError("an automation needs an action")
    if (rule["trigger"]["type"] == "time") != ("at" in rule["trigger"]):
        raise ValueError("`at` belongs to the trigger `time`, and to no other")
    if not re.fullmatch("[0-2][0-9]:[0-5][0-9]", rule["trigger"].get("at", "00:00")):
        raise ValueError("`at` is a time such as 06:30")
    number = 1
    while db_get("automations", f"auto_{home_id[5:]}{number}") is not None:
        number += 1
    automation_id = f"auto_{home_id[5:]}{number}"
    for action in rule["actions"]:
        device = _active(action["device"])
        if device["home_id"] != home_id:
            raise ValueError(f"{action['device']} is in another home")
        if device["automation"]:
            raise ValueError(f"{action['device']} has the automation {device['automation']}")
        device["automation"] = automation_id
        db_put("devices", action["device"], device)
    home["automations"] += 1
    db_put("homes", home_id, home)
    db_put("automations", automation_id, {"home_id": home_id, "rule": rule})
    return {"automation_id": automation_id}


def delete_automation(automation_id: str) -> str:
    """Delete an automation; its devices stay as they are set."""
    automation = _known("automations", automation_id)
    home = _known("homes", automation["home_id"])
    home["automations"] -= 1
    db_put("homes", automation["home_id"], home)
    for device_id in db_find("devices", "automation", automation_id):
        device = _known("devices", device_id)
        device["automation"] = ""
        db_put("devices", device_id, device)
    db_delete("automations", automation_id)
    return "ok"


def push_firmware(device_id: str, version: str) -> dict:
    """Install the firmware that is offered to a device. A lock takes it only after a short press of its button."""
    device = _online(device_id)
    if version != device["offered"]:
        raise ValueError(f"the version that is offered is {device['offered'] or 'none'}")
    if device["signal"] < 3:
        raise ValueError("the signal is too weak for an update")
    thing = _known("hardware", device_id)
    if device["kind"] == "lock" and not thing["ready"]:
        raise ValueError("the lock waits for a short press of its button")
    _change(device_id, {"update": version, "ready": False})
    return {"installing": version}


def pair_device(device_id: str) -> str:
    """Pair a device with its home; its LED must be blue."""
    _active(device_id)
    thing = _known("hardware", device_id)
    if thing["led"] != "blue":
        raise ValueError("the device is not ready to pair")
    _change(device_id, {"paired": True, "ready": False})
    return "ok"


def release_device(device_id: str) -> str:
    """Release a device from its home, so that another can pair it. It must be online, or reset by hand, and in no automation."""
    device = _active(device_id)
    if device["automation"]:
        raise ValueError(f"it is part of {device['automation']}")
    if not device["online"] and not _known("hardware", device_id)["ready"]:
        raise ValueError("it is offline and was not reset")
    if device["kind"] == "camera":
        home = _known("homes", device["home_id"])
        home["cameras"] -= 1
        db_put("homes", device["home_id"], home)
    device["status"] = "released"
    db_put("devices", device_id, device)
    _change(device_id, {"paired": False, "ready": False})
    return "ok"


def order(home_id: str, item: Item) -> str:
    """Send a replacement for a device, or a range extender for it, to a home."""
    _known("homes", home_id)
    if _active(item["device"])["home_id"] != home_id:
        raise ValueError(f"{item['device']} is in another home")
    db_put("orders", item["device"], {"home_id": home_id, "kind": item["kind"], "ordered": now()})
    return "ok"


def change_plan(home_id: str, plan: Literal["basic", "plus", "pro"], starts: Literal["now", "renewal"]) -> str:
    """Change the plan of a home, now or on the day of its renewal."""
    home = _known("homes", home_id)
    home["plan" if starts == "now" else "next_plan"] = plan
    db_put("homes", home_id, home)
    return "ok"


def refund_invoice(invoice_id: str, amount: float) -> str:
    """Pay back an amount of an invoice."""
    invoice = _known("invoices", invoice_id)
    if invoice["status"] == "refunded":
        raise ValueError("it was refunded before")
    if not 0 < amount <= invoice["amount"]:
        raise ValueError("the amount is more than the invoice")
    invoice["status"] = "refunded"
    invoice["refunded"] = amount
    db_put("invoices", invoice_id, invoice)
    return "ok"


def hand_over(home_id: str, reason: Literal["limit", "lock"]) -> str:
    """Hand a request over to a person, with its reason."""
    _known("homes", home_id)
    db_put("cases", home_id, {"reason": reason, "opened": now()})
    return "ok"


def _known(collection: str, id: str) -> dict:
    record = db_get(collection, id)
    if record is None:
        raise ValueError(f"there is no {id} among the {collection}")
    return record


def _active(device_id: str) -> dict:
    device = _known("devices", device_id)
    if device["status"] != "active":
        raise ValueError(f"{device_id} was released")
    return device


def _online(device_id: str) -> dict:
    device = _active(device_id)
    if not device["online"]:
        raise ValueError(f"{device_id} is offline")
    return device
