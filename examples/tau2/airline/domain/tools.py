"""Airline desk. Own code, written from the observed behaviour of tau2-bench's airline domain."""
from typing import Literal, TypedDict

CARDS = ("gift_card", "certificate")

Cabin = Literal["business", "economy", "basic_economy"]


class Leg(TypedDict):
    flight_number: str
    date: str


class Passenger(TypedDict):
    first_name: str
    last_name: str
    dob: str


class Payment(TypedDict):
    payment_id: str
    amount: int


def _reservation(reservation_id):
    found = db_get("reservations", reservation_id)
    if found is None:
        raise ValueError(f"Reservation {reservation_id} not found")
    return found


def _user(user_id):
    found = db_get("users", user_id)
    if found is None:
        raise ValueError(f"User {user_id} not found")
    return found


def _day(number, date):
    """A flight on a date: its status, and its seats and prices where it can be booked."""
    if db_get("flights", number, "flight_number") is None:
        raise ValueError(f"Flight {number} not found")
    day = db_get("flights", number, "dates").get(date)
    if day is None:
        raise ValueError(f"Flight {number} not found on date {date}")
    return day


def _bookable(number, date, cabin, seats):
    day = _day(number, date)
    if day["status"] != "available":
        raise ValueError(f"Flight {number} not available on date {date}")
    if day["available_seats"][cabin] < seats:
        raise ValueError(f"Not enough seats on flight {number}")
    return day


def _leg(number, date, price):
    return {
        "flight_number": number,
        "origin": db_get("flights", number, "origin"),
        "destination": db_get("flights", number, "destination"),
        "date": date,
        "price": price,
    }


def _search(date, origin, destination, after, shown_date):
    """Flights that can be booked on a date. `after` is the earliest departure; a place that is None is any place."""
    found = []
    if origin is None:
        numbers = db_find("flights", "destination", destination)
    else:
        numbers = db_find("flights", "origin", origin)
    for number in numbers:
        lands_at = db_get("flights", number, "destination")
        if destination is not None and lands_at != destination:
            continue
        day = db_get("flights", number, f"dates.{date}")
        if day is None or day["status"] != "available":
            continue
        departure = db_get("flights", number, "scheduled_departure_time_est")
        if after is not None and departure < after:
            continue
        found.append({
            "flight_number": number,
            "origin": db_get("flights", number, "origin"),
            "destination": lands_at,
            "status": "available",
            "scheduled_departure_time_est": departure,
            "scheduled_arrival_time_est": db_get("flights", number, "scheduled_arrival_time_est"),
            "date": shown_date,
            "available_seats": day["available_seats"],
            "prices": day["prices"],
        })
    return found


def _passengers(given):
    return [{"first_name": p["first_name"], "last_name": p["last_name"], "dob": p["dob"]} for p in given]


def _charge(user, payment_id, total):
    """Takes the price of a change off a payment method; the entry for the history, or None."""
    if payment_id not in user["payment_methods"]:
        raise ValueError("Payment method not found")
    method = user["payment_methods"][payment_id]
    if method["source"] == "certificate":
        raise ValueError("Certificate cannot be used to update reservation")
    if method["source"] == "gift_card":
        if method["amount"] < total:
            raise ValueError("Gift card balance is not enough")
        method["amount"] = method["amount"] - total
        db_put("users", user["user_id"], user)
    if total == 0:
        return None
    return {"payment_id": payment_id, "amount": total}


def book_reservation(
    user_id: str,
    origin: str,
    destination: str,
    flight_type: Literal["round_trip", "one_way"],
    cabin: Cabin,
    flights: list[Leg],
    passengers: list[Passenger],
    payment_methods: list[Payment],
    total_baggages: int,
    nonfree_baggages: int,
    insurance: Literal["yes", "no"],
) -> dict:
    """Book a reservation.

    Args:
        user_id: The user who books, for example 'jane_roe_1234'.
        origin: The airport to leave from, three letters such as 'BOS'.
        destination: The airport to go to, three letters such as 'SEA'.
        flight_type: Round trip or one way.
        cabin: The cabin of every flight.
        flights: Every flight of the journey, with its date as YYYY-MM-DD.
        passengers: Every passenger; dob is the date of birth as YYYY-MM-DD.
        payment_methods: The payment methods of the user's profile and the amount that each pays; together they pay the price.
        total_baggages: Number of bags.
        nonfree_baggages: Number of bags that are paid for.
        insurance: Whether travel insurance is bought.
    """
    user = _user(user_id)
    number = None
    for candidate in ["HATHAT", "HATHAU", "HATHAV"]:
        if db_get("reservations", candidate) is None:
            number = candidate
            break
    if number is None:
        raise ValueError("Too many reservations")
    people = _passengers(passengers)
    legs = []
    booked = []
    total = 0
    for wanted in flights:
        price = _bookable(wanted["flight_number"], wanted["date"], cabin, len(people))["prices"][cabin]
        legs.append(_leg(wanted["flight_number"], wanted["date"], price))
        booked.append((wanted["flight_number"], wanted["date"]))
        total += price * len(people)
    if insurance == "yes":
        total += 30 * len(people)
    total += 50 * nonfree_baggages
    paid = 0
    history = []
    for payment in payment_methods:
        payment_id = payment["payment_id"]
        amount = int(payment["amount"])
        if payment_id not in user["payment_methods"]:
            raise ValueError(f"Payment method {payment_id} not found")
        method = user["payment_methods"][payment_id]
        if method["source"] in CARDS and method["amount"] < amount:
            raise ValueError(f"Not enough balance in payment method {payment_id}")
        paid += amount
        history.append({"payment_id": payment_id, "amount": amount})
    if paid != total:
        raise ValueError(f"Payment amount does not add up, total price is {total}, but paid {paid}")
    for payment in history:
        method = user["payment_methods"][payment["payment_id"]]
        if method["source"] == "gift_card":
            method["amount"] = method["amount"] - payment["amount"]
        elif method["source"] == "certificate":
            user["payment_methods"].pop(payment["payment_id"])
    for flight_number, date in booked:
        flight = db_get("flights", flight_number)
        seats = flight["dates"][date]["available_seats"]
        seats[cabin] = seats[cabin] - len(people)
        db_put("flights", flight_number, flight)
    reservation = {
        "reservation_id": number,
        "user_id": user_id,
        "origin": origin,
        "destination": destination,
        "flight_type": flight_type,
        "cabin": cabin,
        "flights": legs,
        "passengers": people,
        "payment_history": history,
        "created_at": now(),
        "total_baggages": total_baggages,
        "nonfree_baggages": nonfree_baggages,
        "insurance": insurance,
        "status": None,
    }
    db_put("reservations", number, reservation)
    user["reservations"].append(number)
    db_put("users", user_id, user)
    return reservation


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
        expression: Numbers, + - * /, parentheses and spaces, for example '3 * 120 + 50'.
    """
    for char in expression:
        if char not in "0123456789+-*/(). ":
            raise ValueError("Invalid characters in expression")
    text = expression.replace(" ", "")
    value, at = _sum(text, 0)
    if at != len(text):
        raise ValueError("invalid syntax")
    return str(round(float(value), 2))


def cancel_reservation(reservation_id: str) -> dict:
    """Cancel a whole reservation and refund its payments.

    Args:
        reservation_id: Six letters and digits, for example 'AB12CD'.
    """
    reservation = _reservation(reservation_id)
    refunds = [{"payment_id": p["payment_id"], "amount": -p["amount"]} for p in reservation["payment_history"]]
    reservation["payment_history"].extend(refunds)
    reservation["status"] = "cancelled"
    db_put("reservations", reservation_id, reservation)
    return reservation


def get_flight_status(flight_number: str, date: str) -> str:
    """Look up the status of a flight.

    Args:
        flight_number: For example 'HAT999'.
        date: YYYY-MM-DD.
    """
    return _day(flight_number, date)["status"]


def get_reservation_details(reservation_id: str) -> dict:
    """Look up a reservation.

    Args:
        reservation_id: Six letters and digits, for example 'AB12CD'.
    """
    return _reservation(reservation_id)


def get_user_details(user_id: str) -> dict:
    """Look up a user: profile, payment methods, membership and reservations.

    Args:
        user_id: For example 'jane_roe_1234'.
    """
    return _user(user_id)


def list_all_airports() -> list:
    """List all airports with their cities."""
    cities = {
        "SFO": "San Francisco", "JFK": "New York", "LAX": "Los Angeles", "ORD": "Chicago", "DFW": "Dallas",
        "DEN": "Denver", "SEA": "Seattle", "ATL": "Atlanta", "MIA": "Miami", "BOS": "Boston",
        "PHX": "Phoenix", "IAH": "Houston", "LAS": "Las Vegas", "MCO": "Orlando", "EWR": "Newark",
        "CLT": "Charlotte", "MSP": "Minneapolis", "DTW": "Detroit", "PHL": "Philadelphia", "LGA": "LaGuardia",
    }
    return [{"iata": iata, "city": city} for iata, city in cities.items()]


def search_direct_flight(origin: str, destination: str, date: str) -> list:
    """Search for direct flights that can be booked.

    Args:
        origin: The airport to leave from, three letters such as 'BOS'.
        destination: The airport to go to, three letters such as 'SEA'.
        date: YYYY-MM-DD.
    """
    return _search(date, origin, destination, None, None)


def search_onestop_flight(origin: str, destination: str, date: str) -> list:
    """Search for pairs of flights with one stop that can be booked.

    Args:
        origin: The airport to leave from, three letters such as 'BOS'.
        destination: The airport to go to, three letters such as 'SEA'.
        date: The date of the first flight, YYYY-MM-DD.
    """
    pairs = []
    for first in _search(date, origin, None, None, date):
        arrival = first["scheduled_arrival_time_est"]
        second_date = f"2024-05-{int(date[-2:]) + 1}" if "+1" in arrival else date
        for second in _search(second_date, first["destination"], destination, arrival, second_date):
            pairs.append([first, second])
    return pairs


def send_certificate(user_id: str, amount: int) -> str:
    """Give a user a certificate as compensation. It cannot be taken back.

    Args:
        user_id: For example 'jane_roe_1234'.
        amount: Its value in dollars.
    """
    user = _user(user_id)
    for number in [3221322, 3221323, 3221324]:
        payment_id = f"certificate_{number}"
        if payment_id not in user["payment_methods"]:
            user["payment_methods"][payment_id] = {"source": "certificate", "id": payment_id, "amount": float(amount)}
            db_put("users", user_id, user)
            return f"Certificate {payment_id} added to user {user_id} with amount {amount}."
    raise ValueError("Too many certificates")


def transfer_to_human_agents(summary: str) -> str:
    """Hand the user over to a person. Only when the user asks for one, or when policy and tools cannot solve the request.

    Args:
        summary: The request so far, in a few sentences.
    """
    return "Transfer successful"


def update_reservation_baggages(reservation_id: str, total_baggages: int, nonfree_baggages: int, payment_id: str) -> dict:
    """Change the number of bags of a reservation.

    Args:
        reservation_id: Six letters and digits, for example 'AB12CD'.
        total_baggages: The new number of bags.
        nonfree_baggages: The number of them that is paid for.
        payment_id: The payment method of the user's profile that pays for more bags.
    """
    reservation = _reservation(reservation_id)
    user = _user(reservation["user_id"])
    total = 50 * max(0, nonfree_baggages - reservation["nonfree_baggages"])
    payment = _charge(user, payment_id, total)
    if payment is not None:
        reservation["payment_history"].append(payment)
    reservation["total_baggages"] = total_baggages
    reservation["nonfree_baggages"] = nonfree_baggages
    db_put("reservations", reservation_id, reservation)
    return reservation


def update_reservation_flights(reservation_id: str, cabin: Cabin, flights: list[Leg], payment_id: str) -> dict:
    """Change the flights of a reservation, or its cabin.

    Args:
        reservation_id: Six letters and digits, for example 'AB12CD'.
        cabin: The cabin of every flight.
        flights: Every flight of the changed journey, with those that stay; the date as YYYY-MM-DD.
        payment_id: The payment method of the user's profile that pays or receives the difference.
    """
    reservation = _reservation(reservation_id)
    user = _user(reservation["user_id"])
    people = len(reservation["passengers"])
    total = 0
    legs = []
    for wanted in flights:
        number, date = wanted["flight_number"], wanted["date"]
        kept = None
        for leg in reservation["flights"]:
            if leg["flight_number"] == number and leg["date"] == date and cabin == reservation["cabin"]:
                kept = leg
                break
        if kept is None:
            kept = _leg(number, date, _bookable(number, date, cabin, people)["prices"][cabin])
        total += kept["price"] * people
        legs.append(kept)
    total -= sum([leg["price"] for leg in reservation["flights"]]) * people
    payment = _charge(user, payment_id, total)
    if payment is not None:
        reservation["payment_history"].append(payment)
    reservation["flights"] = legs
    reservation["cabin"] = cabin
    db_put("reservations", reservation_id, reservation)
    return reservation


def update_reservation_passengers(reservation_id: str, passengers: list[Passenger]) -> dict:
    """Change the passengers of a reservation. Their number cannot change.

    Args:
        reservation_id: Six letters and digits, for example 'AB12CD'.
        passengers: Every passenger; dob is the date of birth as YYYY-MM-DD.
    """
    reservation = _reservation(reservation_id)
    if len(passengers) != len(reservation["passengers"]):
        raise ValueError("Number of passengers does not match")
    reservation["passengers"] = _passengers(passengers)
    db_put("reservations", reservation_id, reservation)
    return reservation
