"""Tools of the customer, who stands before the device and has the app; and `_sync`, by which device and cloud agree."""


def read_led(device_id: str) -> dict:
    """Read the colour of the device's LED."""
    return {"led": _known("hardware", device_id)["led"]}


def check_app_status(device_id: str) -> dict:
    """Read what the app shows of the device."""
    device = _known("devices", device_id)
    return {"online": device["online"], "signal": device["signal"]}


def toggle_power(device_id: str) -> dict:
    """Plug the device in, or out."""
    return _change(device_id, {"powered": not _known("hardware", device_id)["powered"]})


def press_reset_button(device_id: str, seconds: Literal[1, 10]) -> dict:
    """Press the small button at the back. After 10 seconds the device has forgotten its home and can be paired anew."""
    if seconds == 10:
        return _change(device_id, {"ready": True, "paired": False})
    return _change(device_id, {"ready": True})


def set_wifi_password_in_app(device_id: str) -> dict:
    """Type the password on the router's label into the app, which sends it to the device."""
    if not _known("hardware", device_id)["powered"]:
        raise ValueError("the app does not find the device")
    return _change(device_id, {"password": "current"})


def move_device_closer(device_id: str) -> dict:
    """Carry the device closer to the router and plug it in there."""
    if _known("devices", device_id)["kind"] in FIXED:
        raise ValueError("it is screwed to the wall or the door")
    return _change(device_id, {"place": "near"})


def _change(device_id: str, fields: dict) -> dict:
    """Change the device itself. The cloud follows in `_sync`."""
    thing = {**_known("hardware", device_id), **fields, "unreported": True}
    thing["led"] = _led(thing)
    db_put("hardware", device_id, thing)
    return {"led": thing["led"]}


def _led(thing: dict) -> str:
    if not thing["powered"]:
        return "off"
    if thing["faulty"]:
        return "purple"
    if not thing["paired"]:
        return "blue" if thing["ready"] else "red"
    if thing["password"] != "current":
        return "amber"
    return "white" if thing["place"] == "far" else "green"


def _sync():
    """Each device that changed reports to the cloud, and installs what the cloud holds for it."""
    for device_id in db_find("hardware", "unreported", True):
        thing = db_get("hardware", device_id)
        device = db_get("devices", device_id)
        online = thing["led"] == "green" and device["status"] == "active"
        if online and thing["update"]:
            thing["firmware"] = thing["update"]
            thing["update"] = ""
            device["firmware"] = thing["firmware"]
            device["offered"] = ""
        thing["unreported"] = False
        device["online"] = online
        device["signal"] = 0 if not online else 4 if thing["place"] == "near" else 1
        db_put("hardware", device_id, thing)
        db_put("devices", device_id, device)
