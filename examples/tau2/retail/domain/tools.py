"""Retail desk. Own code, written from the observed behaviour of tau2-bench's retail domain."""
from typing import Literal


def _order(order_id):
    found = db_get("orders", order_id)
    if found is None:
        raise ValueError("Order not found")
    return found


def _user(user_id):
    found = db_get("users", user_id)
    if found is None:
        raise ValueError("User not found")
    return found


def _variant(product_id, item_id):
    if db_get("products", product_id, "product_id") is None:
        raise ValueError("Product not found")
    found = db_get("products", product_id, f"variants.{item_id}")
    if found is None:
        raise ValueError("Variant not found")
    return found


def _method(user, payment_method_id):
    if payment_method_id not in user["payment_methods"]:
        raise ValueError("Payment method not found")
    return user["payment_methods"][payment_method_id]


def _is_gift_card(method):
    return method["source"] == "gift_card"


def _pay_in(method, amount):
    """Adds to the balance of a gift card; other methods keep none."""
    if _is_gift_card(method):
        method["balance"] = round(method["balance"] + amount, 2)


def _pay_out(method, amount):
    if _is_gift_card(method):
        method["balance"] = round(method["balance"] - amount, 2)


def _entry(kind, amount, payment_method_id):
    return {"transaction_type": kind, "amount": float(amount), "payment_method_id": payment_method_id}


def _item(order, item_id):
    for item in order["items"]:
        if item["item_id"] == item_id:
            return item
    raise ValueError(f"Item {item_id} not found")


def _lacks(order, item_ids):
    """The first item that the order has fewer times than it is named; None when it has them all."""
    has = [item["item_id"] for item in order["items"]]
    for item_id in item_ids:
        if item_ids.count(item_id) > has.count(item_id):
            return item_id
    return None


def _available(product_id, item_id):
    variant = _variant(product_id, item_id)
    if not variant["available"]:
        raise ValueError(f"New item {item_id} not found or available")
    return variant


def _address(address1, address2, city, state, country, zip):
    return {"address1": address1, "address2": address2, "city": city, "country": country, "state": state, "zip": zip}


def _sum(text, at):
    value, at = _product(text, at)
    while at < len(text) and text[at] in "+-":
        right, after = _product(text, at + 1)
        value = value + right if text[at] == "+" else value - right
        at = after
    return value, at


def _product(text, at):
    value, at = _factor(text, at)
    while at < len(text) and text[at] in "*/":
        right, after = _factor(text, at + 1)
        value = value * right if text[at] == "*" else value / right
        at = after
    return value, at


def _factor(text, at):
    if at >= len(text):
        raise ValueError("invalid syntax")
    if text[at] == "-":
        value, at = _factor(text, at + 1)
        return -value, at
    if text[at] == "+":
        return _factor(text, at + 1)
    if text[at] == "(":
        value, at = _sum(text, at + 1)
        if at >= len(text) or text[at] != ")":
            raise ValueError("'(' was never closed")
        return value, at + 1
    end = at
    while end < len(text) and text[end] in "0123456789.":
        end += 1
    digits = text[at:end]
    if digits == "":
        raise ValueError("invalid syntax")
    return (float(digits) if "." in digits else int(digits)), end


def calculate(expression: str) -> str:
    """Work out an arithmetic expression.

    Args:
        expression: Numbers, + - * /, parentheses and spaces, for example '19.99 * 3'.
    """
    for char in expression:
        if char not in "0123456789+-*/(). ":
            raise ValueError("Invalid characters in expression")
    text = expression.replace(" ", "")
    value, at = _sum(text, 0)
    if at != len(text):
        raise ValueError("invalid syntax")
    return str(round(float(value), 2))


def cancel_pending_order(order_id: str, reason: str) -> dict:
    """Cancel an order that is still pending, and refund it. Explain the consequences and get a clear yes first. A gift card is
    refunded at once, other payment methods within a few business days.

    Args:
        order_id: The order, with its '#', for example '#W0000000'.
        reason: Either 'no longer needed' or 'ordered by mistake'.
    """
    order = _order(order_id)
    if order["status"] != "pending":
        raise ValueError("Non-pending order cannot be cancelled")
    if reason not in ["no longer needed", "ordered by mistake"]:
        raise ValueError("Invalid reason")
    user = _user(order["user_id"])
    refunds = []
    for payment in order["payment_history"]:
        _pay_in(_method(user, payment["payment_method_id"]), payment["amount"])
        refunds.append(_entry("refund", payment["amount"], payment["payment_method_id"]))
    order["status"] = "cancelled"
    order["cancel_reason"] = reason
    order["payment_history"].extend(refunds)
    db_put("users", user["user_id"], user)
    db_put("orders", order_id, order)
    return order


def exchange_delivered_order_items(order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str) -> dict:
    """Request the exchange of items of a delivered order for other variants of the same products. An order can be exchanged or
    returned once. Explain the consequences and get a clear yes first.

    Args:
        order_id: The order, with its '#', for example '#W0000000'.
        item_ids: The items to give back; one that is given back twice is listed twice.
        new_item_ids: The items wanted instead, in the same order.
        payment_method_id: The payment method that pays or receives the difference in price.
    """
    order = _order(order_id)
    if order["status"] != "delivered":
        raise ValueError("Non-delivered order cannot be exchanged")
    lacking = _lacks(order, item_ids)
    if lacking is not None:
        raise ValueError(f"Number of {lacking} not found.")
    if len(item_ids) != len(new_item_ids):
        raise ValueError("The number of items to be exchanged should match.")
    difference = 0
    for item_id, new_item_id in zip(item_ids, new_item_ids):
        item = _item(order, item_id)
        difference += _available(item["product_id"], new_item_id)["price"] - item["price"]
    difference = round(difference, 2)
    method = _method(_user(order["user_id"]), payment_method_id)
    if _is_gift_card(method) and method["balance"] < difference:
        raise ValueError("Insufficient gift card balance to pay for the price difference")
    order["status"] = "exchange requested"
    order["exchange_items"] = sorted(item_ids)
    order["exchange_new_items"] = sorted(new_item_ids)
    order["exchange_payment_method_id"] = payment_method_id
    order["exchange_price_difference"] = difference
    db_put("orders", order_id, order)
    return order


def find_user_id_by_name_zip(first_name: str, last_name: str, zip: str) -> str:
    """Find a user by name and zip code. Ask for the email address first, and use this when the user cannot be found by it.

    Args:
        first_name: For example 'Jane'.
        last_name: For example 'Roe'.
        zip: Five digits, for example '10001'.
    """
    for user_id in db_ids("users"):
        name = db_get("users", user_id, "name")
        same = name["first_name"].lower() == first_name.lower() and name["last_name"].lower() == last_name.lower()
        if same and db_get("users", user_id, "address.zip") == zip:
            return user_id
    raise ValueError("User not found")


def find_user_id_by_email(email: str) -> str:
    """Find a user by email address.

    Args:
        email: For example 'jane.roe@example.com'.
    """
    for user_id in db_find("users", "email", email):
        return user_id
    for user_id in db_ids("users"):
        if db_get("users", user_id, "email").lower() == email.lower():
            return user_id
    raise ValueError("User not found")


def get_order_details(order_id: str) -> dict:
    """Look up an order: its status, items, deliveries and payments.

    Args:
        order_id: The order, with its '#', for example '#W0000000'.
    """
    return _order(order_id)


def get_product_details(product_id: str) -> dict:
    """Look up a product with all its variants, their prices and whether they are in stock.

    Args:
        product_id: The product, for example '6000000000'. An item of it has an id of its own.
    """
    found = db_get("products", product_id)
    if found is None:
        raise ValueError("Product not found")
    return found


def get_user_details(user_id: str) -> dict:
    """Look up a user: address, payment methods and orders.

    Args:
        user_id: For example 'jane_roe_1234'.
    """
    return _user(user_id)


def list_all_product_types() -> dict:
    """List the names of all products with their ids. Each product comes in variants, which are the items that people order."""
    names = {}
    for product_id in db_ids("products"):
        names[db_get("products", product_id, "name")] = product_id
    return {name: names[name] for name in sorted(names)}


def modify_pending_order_address(
    order_id: str, address1: str, address2: str, city: str, state: str, country: str, zip: str
) -> dict:
    """Change where a pending order is shipped. Explain the change and get a clear yes first.

    Args:
        order_id: The order, with its '#', for example '#W0000000'.
        address1: Street and number.
        address2: Flat or suite; empty where there is none.
        city: For example 'Denver'.
        state: Two letters, for example 'CO'.
        country: For example 'USA'.
        zip: Five digits.
    """
    order = _order(order_id)
    if "pending" not in order["status"]:
        raise ValueError("Non-pending order cannot be modified")
    order["address"] = _address(address1, address2, city, state, country, zip)
    db_put("orders", order_id, order)
    return order


def modify_pending_order_items(order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str) -> dict:
    """Change items of a pending order to other variants of the same products. This works once for an order. Explain the change
    and get a clear yes first.

    Args:
        order_id: The order, with its '#', for example '#W0000000'.
        item_ids: The items to change; one that is changed twice is listed twice.
        new_item_ids: The items wanted instead, in the same order.
        payment_method_id: The payment method that pays or receives the difference in price.
    """
    order = _order(order_id)
    if order["status"] != "pending":
        raise ValueError("Non-pending order cannot be modified")
    lacking = _lacks(order, item_ids)
    if lacking is not None:
        raise ValueError(f"{lacking} not found")
    if len(item_ids) != len(new_item_ids):
        raise ValueError("The number of items to be exchanged should match")
    difference = 0
    variant = None
    for item_id, new_item_id in zip(item_ids, new_item_ids):
        if item_id == new_item_id:
            raise ValueError("The new item id should be different from the old item id")
        item = _item(order, item_id)
        variant = _available(item["product_id"], new_item_id)
        difference += variant["price"] - item["price"]
    user = _user(order["user_id"])
    method = _method(user, payment_method_id)
    if _is_gift_card(method) and method["balance"] < difference:
        raise ValueError("Insufficient gift card balance to pay for the new item")
    kind = "payment" if difference > 0 else "refund"
    order["payment_history"].append(_entry(kind, abs(difference), payment_method_id))
    _pay_out(method, difference)
    for item_id, new_item_id in zip(item_ids, new_item_ids):
        item = _item(order, item_id)
        item["item_id"] = new_item_id
        # As upstream: every changed item gets the price and options of the last one.
        item["price"] = variant["price"]
        item["options"] = variant["options"]
    order["status"] = "pending (item modified)"
    db_put("users", user["user_id"], user)
    db_put("orders", order_id, order)
    return order


def modify_pending_order_payment(order_id: str, payment_method_id: str) -> dict:
    """Pay a pending order by another payment method; the first one is refunded. Explain the change and get a clear yes first.

    Args:
        order_id: The order, with its '#', for example '#W0000000'.
        payment_method_id: The new payment method.
    """
    order = _order(order_id)
    if "pending" not in order["status"]:
        raise ValueError("Non-pending order cannot be modified")
    user = _user(order["user_id"])
    method = _method(user, payment_method_id)
    history = order["payment_history"]
    if len(history) != 1 or history[0]["transaction_type"] != "payment":
        raise ValueError("There should be exactly one payment for a pending order")
    before, amount = history[0]["payment_method_id"], history[0]["amount"]
    if before == payment_method_id:
        raise ValueError("The new payment method should be different from the current one")
    if _is_gift_card(method) and method["balance"] < amount:
        raise ValueError("Insufficient gift card balance to pay for the order")
    order["payment_history"] = history + [_entry("payment", amount, payment_method_id), _entry("refund", amount, before)]
    _pay_out(method, amount)
    _pay_in(_method(user, before), amount)
    db_put("users", user["user_id"], user)
    db_put("orders", order_id, order)
    return order


def modify_user_address(
    user_id: str, address1: str, address2: str, city: str, state: str, country: str, zip: str
) -> dict:
    """Change a user's default address. Explain the change and get a clear yes first.

    Args:
        user_id: For example 'jane_roe_1234'.
        address1: Street and number.
        address2: Flat or suite; empty where there is none.
        city: For example 'Denver'.
        state: Two letters, for example 'CO'.
        country: For example 'USA'.
        zip: Five digits.
    """
    user = _user(user_id)
    user["address"] = _address(address1, address2, city, state, country, zip)
    db_put("users", user_id, user)
    return user


def return_delivered_order_items(order_id: str, item_ids: list[str], payment_method_id: str) -> dict:
    """Request the return of items of a delivered order. The user is told by email how to send them back. Explain the
    consequences and get a clear yes first.

    Args:
        order_id: The order, with its '#', for example '#W0000000'.
        item_ids: The items to return; one that is returned twice is listed twice.
        payment_method_id: The payment method that is refunded: the one that paid the order, or a gift card.
    """
    order = _order(order_id)
    if order["status"] != "delivered":
        raise ValueError("Non-delivered order cannot be returned")
    method = _method(_user(order["user_id"]), payment_method_id)
    if not _is_gift_card(method) and payment_method_id != order["payment_history"][0]["payment_method_id"]:
        raise ValueError("Payment method should be the original payment method")
    if _lacks(order, item_ids) is not None:
        raise ValueError("Some item not found")
    order["status"] = "return requested"
    order["return_items"] = sorted(item_ids)
    order["return_payment_method_id"] = payment_method_id
    db_put("orders", order_id, order)
    return order


def transfer_to_human_agents(summary: str) -> str:
    """Hand the user over to a person. Only when the user asks for one, or when policy and tools cannot solve the request.

    Args:
        summary: The request so far, in a few sentences.
    """
    return "Transfer successful"
