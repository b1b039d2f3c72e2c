"""Tools of the parcel desk. Every id is a string of five digits; results are short, for small models read them too."""

SLOTS = ["am", "pm", "eve"]
REASONS = ["customs", "cash", "limit", "slow"]
STARTED = ["sorted", "transit", "missed", "point"]


def find(parcel: str) -> str:
    """Look up a parcel: status, size, payment, abroad, value, insurance, failed tries, weeks, days held, depot."""
    p = _parcel(parcel)
    return (
        f"status={p['status']} size={p['size']} paid={p['paid']} abroad={_word(p['abroad'])} "
        f"value={int(p['value'])} insured={_word(p['insured'])} tries={p['tries']} weeks={p['weeks']} "
        f"held={p['held']} depot={p['depot']}"
    )


def spot(point: str) -> str:
    """Look up a pickup point: free room, and the nearest other point."""
    s = _known("points", point)
    return f"room={s['room']} near={s['near']}"


def owner(parcel: str) -> str:
    """Look up who a parcel belongs to: the owner's level, basic or gold."""
    return f"level={_known('customers', _parcel(parcel)['owner'])['level']}"


def case(claim: str) -> str:
    """Look up a claim: its state (open or paid), the weeks since it was opened, the sum, and the parcel."""
    c = _known("claims", claim)
    return f"state={c['state']} weeks={c['weeks']} sum={int(c['sum'])} parcel={c['parcel']}"


def address(parcel: str, to: str) -> str:
    """Set a new delivery address, given by its address code."""
    p = _live(parcel)
    if len(to) != 5 or not to.isdigit():
        raise ValueError("an address code has five digits")
    p["address"] = to
    db_put("parcels", parcel, p)
    return "ok"


def move(parcel: str, point: str) -> str:
    """Send a parcel to a pickup point or a depot, where the customer fetches it."""
    p = _live(parcel)
    if db_get("depots", point) is None:
        s = _known("points", point)
        if s["room"] < 1:
            raise ValueError("no room")
        s["room"] = s["room"] - 1
        db_put("points", point, s)
    p["point"] = point
    db_put("parcels", parcel, p)
    return "ok"


def retry(parcel: str, slot: str) -> str:
    """Book another delivery attempt. Slots: am, pm, eve."""
    p = _live(parcel)
    if slot not in SLOTS:
        raise ValueError("slots are am pm eve")
    p["slot"] = slot
    db_put("parcels", parcel, p)
    return "ok"


def hold(parcel: str, days: int) -> str:
    """Keep a parcel where it is for this many days, 1 to 9."""
    p = _live(parcel)
    if days < 1 or days > 9:
        raise ValueError("days are 1 to 9")
    p["held"] = days
    db_put("parcels", parcel, p)
    return "ok"


def cancel(parcel: str) -> str:
    """Cancel a parcel that is not dispatched."""
    p = _parcel(parcel)
    if p["status"] != "new":
        raise ValueError("dispatched")
    p["status"] = "cancelled"
    db_put("parcels", parcel, p)
    return "ok"


def back(parcel: str) -> str:
    """Send a parcel back to its sender."""
    p = _live(parcel)
    if p["status"] not in STARTED:
        raise ValueError("not on its way")
    p["status"] = "returning"
    db_put("parcels", parcel, p)
    return "ok"


def refund(parcel: str, amount: int) -> str:
    """Pay an amount back to the owner of a parcel."""
    p = _parcel(parcel)
    if amount < 1 or amount > 999:
        raise ValueError("amounts are 1 to 999")
    p["refunded"] = p["refunded"] + amount
    db_put("parcels", parcel, p)
    return "ok"


def escalate(parcel: str, reason: str) -> str:
    """Hand a parcel over to a person. Reasons: customs, cash, limit, slow."""
    _parcel(parcel)
    if reason not in REASONS:
        raise ValueError("reasons are customs cash limit slow")
    db_put("cases", parcel, {"reason": reason, "opened": now()})
    return "ok"


def _known(collection: str, id: str) -> dict:
    record = db_get(collection, id)
    if record is None:
        raise ValueError(f"no {collection[:-1]} {id}")
    return record


def _parcel(id: str) -> dict:
    return _known("parcels", id)


def _live(id: str) -> dict:
    p = _parcel(id)
    if p["status"] in ["cancelled", "returning", "delivered", "lost"]:
        raise ValueError(p["status"])
    return p


def _word(flag: bool) -> str:
    return "yes" if flag else "no"
