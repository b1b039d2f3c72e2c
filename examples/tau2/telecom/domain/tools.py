"""Telecom desk: the agent's side. Own code, written from the observed behaviour of tau2-bench's telecom domain."""
from datetime import date, timedelta


def _today():
    text = now()
    return date(int(text[0:4]), int(text[5:7]), int(text[8:10]))


def _one(collection, what, record_id):
    found = db_get(collection, record_id)
    if found is None:
        raise ValueError(f"{what} with ID {record_id} not found")
    return found


def _by_phone(phone_number):
    for customer_id in db_ids("customers"):
        customer = db_get("customers", customer_id)
        if customer["phone_number"] == phone_number:
            return customer
        for line_id in customer["line_ids"]:
            if _one("lines", "Line", line_id)["phone_number"] == phone_number:
                return customer
    raise ValueError(f"Customer with phone number {phone_number} not found")


def _line_of(customer_id, line_id):
    customer = _one("customers", "Customer", customer_id)
    if line_id not in customer["line_ids"]:
        raise ValueError(f"Line {line_id} not found for customer {customer_id}")
    return _one("lines", "Line", line_id)


def _awaiting(customer):
    bills = [_one("bills", "Bill", bill_id) for bill_id in customer["bill_ids"]]
    return [bill for bill in bills if bill["status"] == "Awaiting Payment"]


def get_customer_by_phone(phone_number: str) -> dict:
    """Find a customer by phone number: the one of contact, or the number of a line.

    Args:
        phone_number: For example '555-010-1234'.
    """
    return _by_phone(phone_number)


def get_customer_by_id(customer_id: str) -> dict:
    """Look up a customer.

    Args:
        customer_id: For example 'C1234'.
    """
    return _one("customers", "Customer", customer_id)


def get_customer_by_name(full_name: str, dob: str) -> list:
    """Find customers by name and date of birth.

    Args:
        full_name: First and last name.
        dob: Date of birth, YYYY-MM-DD.
    """
    found = []
    for customer_id in db_ids("customers"):
        customer = db_get("customers", customer_id)
        if customer["full_name"].lower() == full_name.lower() and customer["date_of_birth"] == dob:
            found.append(customer)
    return found


def get_details_by_id(id: str) -> dict:
    """Look up any record by its id.

    Args:
        id: Its first letter tells the kind: C customer, L line, D device, B bill, P plan.
    """
    kinds = {"L": ("lines", "Line"), "D": ("devices", "Device"), "B": ("bills", "Bill"), "C": ("customers", "Customer"), "P": ("plans", "Plan")}
    if id[:1] not in kinds:
        raise ValueError(f"Unknown ID format or type: {id}")
    collection, what = kinds[id[:1]]
    return _one(collection, what, id)


def suspend_line(customer_id: str, line_id: str, reason: str) -> dict:
    """Suspend an active line, for at most six months.

    Args:
        customer_id: For example 'C1234'.
        line_id: For example 'L1234'.
        reason: Why it is suspended.
    """
    line = _line_of(customer_id, line_id)
    if line["status"] != "Active":
        raise ValueError("Line must be active to suspend")
    line["status"] = "Suspended"
    line["suspension_start_date"] = _today().isoformat()
    db_put("lines", line_id, line)
    return {"message": "Line suspended successfully. $5/month holding fee will apply.", "line": line}


def resume_line(customer_id: str, line_id: str) -> dict:
    """Resume a line that is suspended or not activated yet.

    Args:
        customer_id: For example 'C1234'.
        line_id: For example 'L1234'.
    """
    line = _line_of(customer_id, line_id)
    if line["status"] not in ["Suspended", "Pending Activation"]:
        raise ValueError("Line must be suspended to resume")
    line["status"] = "Active"
    line["suspension_start_date"] = None
    db_put("lines", line_id, line)
    return {"message": "Line resumed successfully", "line": line}


def get_bills_for_customer(customer_id: str, limit: int = 12) -> list:
    """List the bills of a customer, the newest first.

    Args:
        customer_id: For example 'C1234'.
        limit: The most bills that are listed.
    """
    customer = _one("customers", "Customer", customer_id)
    bills = [_one("bills", "Bill", bill_id) for bill_id in customer["bill_ids"]]
    return sorted(bills, key=lambda bill: bill["issue_date"], reverse=True)[:limit]


def send_payment_request(customer_id: str, bill_id: str) -> str:
    """Ask the customer to pay a bill. Look first that the bill is still to be paid.

    Args:
        customer_id: For example 'C1234'.
        bill_id: For example 'B1234'.
    """
    customer = _one("customers", "Customer", customer_id)
    if len(_awaiting(customer)) != 0:
        raise ValueError("A bill is already awaiting payment for this customer")
    if bill_id not in customer["bill_ids"]:
        raise ValueError(f"Bill {bill_id} not found for customer {customer_id}")
    bill = _one("bills", "Bill", bill_id)
    bill["status"] = "Awaiting Payment"
    db_put("bills", bill_id, bill)
    return f"Payment request sent to the customer for bill {bill_id}"


def _bill(bill_id, customer_id, start, end, status):
    return {
        "bill_id": bill_id, "customer_id": customer_id, "period_start": start.isoformat(), "period_end": end.isoformat(),
        "issue_date": start.isoformat(), "total_due": 0, "due_date": (start + timedelta(days=14)).isoformat(),
        "line_items": [], "status": status,
    }


def _add(bill, description, amount):
    bill["line_items"].append({
        "description": description, "amount": amount, "date": _today().isoformat(), "item_type": "Credit" if amount < 0 else "Charge",
    })
    bill["total_due"] = bill["total_due"] + amount


def _charge_once(customer_id, amount, description):
    customer = _one("customers", "Customer", customer_id)
    draft = None
    for bill_id in customer["bill_ids"]:
        bill = _one("bills", "Bill", bill_id)
        if bill["status"] == "Draft":
            draft = bill
            break
    if draft is None:
        today = _today()
        start = date(today.year + today.month // 12, today.month % 12 + 1, 1)
        end = date(start.year + start.month // 12, start.month % 12 + 1, 1) - timedelta(days=1)
        # tau2 draws a random id here; no gold comes to it.
        bill_id = f"B{len(db_ids('bills')) + 1001}"
        draft = _bill(bill_id, customer_id, start, end, "Draft")
        customer["bill_ids"].append(bill_id)
        db_put("customers", customer_id, customer)
    _add(draft, description, amount)
    db_put("bills", draft["bill_id"], draft)


def get_data_usage(customer_id: str, line_id: str) -> dict:
    """Look up how much data a line used in this billing cycle.

    Args:
        customer_id: For example 'C1234'.
        line_id: For example 'L1234'.
    """
    line = _line_of(customer_id, line_id)
    plan = _one("plans", "Plan", line["plan_id"])
    today = _today()
    end = date(today.year, today.month + 1 if today.month < 12 else 1, 1) - timedelta(days=1)
    return {
        "line_id": line_id, "data_used_gb": str(line["data_used_gb"]), "data_limit_gb": str(plan["data_limit_gb"]),
        "data_refueling_gb": str(line["data_refueling_gb"]), "cycle_end_date": end.isoformat(),
    }


def enable_roaming(customer_id: str, line_id: str) -> str:
    """Turn roaming abroad on for a line.

    Args:
        customer_id: For example 'C1234'.
        line_id: For example 'L1234'.
    """
    line = _line_of(customer_id, line_id)
    if line["roaming_enabled"]:
        return "Roaming was already enabled"
    line["roaming_enabled"] = True
    db_put("lines", line_id, line)
    return "Roaming enabled successfully"


def disable_roaming(customer_id: str, line_id: str) -> str:
    """Turn roaming abroad off for a line.

    Args:
        customer_id: For example 'C1234'.
        line_id: For example 'L1234'.
    """
    line = _line_of(customer_id, line_id)
    if not line["roaming_enabled"]:
        return "Roaming was already disabled"
    line["roaming_enabled"] = False
    db_put("lines", line_id, line)
    return "Roaming disabled successfully"


def transfer_to_human_agents(summary: str) -> str:
    """Hand the user over to a person. Only when the user asks for one, or when policy and tools cannot solve the request.

    Args:
        summary: The request so far, in a few sentences.
    """
    return "Transfer successful"


def refuel_data(customer_id: str, line_id: str, gb_amount: float) -> dict:
    """Add data to a line. The customer is charged by the plan's price for a gigabyte.

    Args:
        customer_id: For example 'C1234'.
        line_id: For example 'L1234'.
        gb_amount: Gigabytes to add, more than 0.
    """
    line = _line_of(customer_id, line_id)
    if gb_amount <= 0:
        raise ValueError("Refuel amount must be positive")
    plan = _one("plans", "Plan", line["plan_id"])
    charge = gb_amount * plan["data_refueling_price_per_gb"]
    line["data_refueling_gb"] = line["data_refueling_gb"] + gb_amount
    db_put("lines", line_id, line)
    _charge_once(customer_id, charge, f"Data refueling: {gb_amount} GB at ${plan['data_refueling_price_per_gb']}/GB")
    return {
        "message": f"Successfully added {gb_amount} GB of data for line {line_id} for ${charge:.2f}",
        "new_data_refueling_gb": str(line["data_refueling_gb"]), "charge": str(charge),
    }


# Functions that only tasks call: they set the scene, and they assert its end.

def _set_data_usage(customer_id, line_id, data_used_gb):
    line = _line_of(customer_id, line_id)
    line["data_used_gb"] = data_used_gb
    db_put("lines", line_id, line)
    return f"Data usage set to {data_used_gb} GB for line {line_id}"


def _suspend_line_for_overdue_bill(customer_id, line_id, new_bill_id, contract_ended):
    line = _one("lines", "Line", line_id)
    if line["status"] != "Active":
        raise ValueError("Line must be active to suspend for unpaid bill")
    amount = _one("plans", "Plan", line["plan_id"])["price_per_month"]
    customer = _one("customers", "Customer", customer_id)
    last = _today().replace(day=1) - timedelta(days=1)
    first = last.replace(day=1)
    bill = _bill(new_bill_id, customer_id, first, last, "Overdue")
    _add(bill, f"Charge for line {line_id}", amount)
    db_put("bills", new_bill_id, bill)
    customer["bill_ids"].append(new_bill_id)
    db_put("customers", customer_id, customer)
    line["status"] = "Suspended"
    line["suspension_start_date"] = _today().isoformat()
    if contract_ended:
        line["contract_end_date"] = last.isoformat()
    db_put("lines", line_id, line)
    return f"Line {line_id} suspended for unpaid bill {new_bill_id}. Contract ended: {contract_ended}"


def _assert_data_refueling_amount(customer_id, line_id, expected_amount):
    return abs(_line_of(customer_id, line_id)["data_refueling_gb"] - expected_amount) < 1e-6


def _assert_line_status(customer_id, line_id, expected_status):
    return _line_of(customer_id, line_id)["status"] == expected_status


def _assert_overdue_bill_exists(customer_id, overdue_bill_id):
    if overdue_bill_id not in _one("customers", "Customer", customer_id)["bill_ids"]:
        raise ValueError(f"Overdue bill {overdue_bill_id} not found")
    if _one("bills", "Bill", overdue_bill_id)["status"] != "Overdue":
        raise ValueError(f"Overdue bill {overdue_bill_id} is not overdue")
    return True


def _assert_no_overdue_bill(overdue_bill_id):
    bill = db_get("bills", overdue_bill_id)
    return bill is None or bill["status"] == "Paid"
