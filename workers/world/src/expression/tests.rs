use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;
use serde_json::json;

struct Order(Value);

impl Names for Order {
    fn now(&self) -> &str {
        "2025-03-10T09:00:00"
    }

    fn value(&self, name: &str) -> Result<Option<Value>, String> {
        Ok(match name {
            "order" => Some(json!("W1")),
            "total" => Some(json!(30)),
            _ => None,
        })
    }

    fn of_name(&self, name: &str) -> Option<&Value> {
        (name == "order").then_some(&self.0)
    }

    fn record(&self, collection: &str, id: &str) -> Option<Value> {
        (collection == "products").then(|| json!({"id": id, "price": 2.5}))
    }

    fn records(&self, collection: &str, by: Option<(&str, &Value)>) -> Result<Vec<Value>, String> {
        assert_eq!(
            (collection, by),
            ("orders", Some(("customer", &json!("c1"))))
        );
        Ok(vec![
            json!({"id": "W1", "open": true}),
            json!({"id": "W2", "open": false}),
        ])
    }
}

fn known(name: &str) -> Option<Kind> {
    let kinds = BTreeMap::from([
        ("order", Kind::Fact),
        ("point", Kind::Fact),
        ("total", Kind::Value),
    ]);
    kinds.get(name).copied()
}

fn order() -> Order {
    Order(json!({
        "status": "open", "customer": "c1", "placed": "2025-02-08", "sent": "2025-03-09T21:30:00Z", "gone": null, "zero": 0,
        "items": [
            {"id": "i1", "price": 0.1, "count": 3, "state": "kept", "tags": ["a", "b"]},
            {"id": "i2", "price": 0.2, "count": 1, "state": "back", "tags": ["b"]},
        ],
        "paid": {"card_1": {"amount": 5}, "gift_2": {"amount": 7.5}},
    }))
}

fn value(text: &str) -> Result<Value, String> {
    Expression::parse(text, &known)?
        .value(&order())
        .map(|value| value.unwrap_or_else(|| json!("missing")))
}

#[test]
fn values_are_exact_and_dates_count_days() {
    for (text, wanted) in [
        ("sum(order.items.price)", json!(0.3)),
        ("sum(order.items, item.price * item.count)", json!(0.5)),
        ("sum(order.paid, item.amount)", json!(12.5)),
        ("count(order.items where item.state == kept)", json!(1)),
        ("max(order.items.price)", json!(0.2)),
        ("min(order.placed, order.sent)", json!("2025-02-08")),
        (
            "first(order.items where item.price == max(order.items.price), item.id)",
            json!("i2"),
        ),
        ("list(order.items, item.id)", json!(["i1", "i2"])),
        (
            "join(list(line in order.items where \"a\" in line.tags, line.id), \" and \")",
            json!("i1"),
        ),
        (
            "any(one in order.items, any(other in order.items, other.price > one.price))",
            json!(true),
        ),
        ("order.items[0].price + order.items[-1].price", json!(0.3)),
        ("order.paid[\"card_1\"].amount", json!(5)),
        ("days(order.placed, now)", json!(30)),
        ("hours(order.sent, now)", json!(11.5)),
        ("add_days(order.placed, 21)", json!("2025-03-01")),
        ("add_days(order.sent, -9)", json!("2025-02-28T21:30:00Z")),
        ("date(now)", json!("2025-03-10")),
        ("round(10 / 3, 2)", json!(3.33)),
        ("round(-2.5)", json!(-3)),
        ("-7 % 3 + 2 * 3", json!(8)),
        ("total / 4", json!(7.5)),
        ("len(order.items) + len(order.status)", json!(6)),
        ("lower(\"AbC\")", json!("abc")),
        ("record(products, order.items[0].id).price", json!(2.5)),
        (
            "count(records(orders, customer, order.customer) where item.open)",
            json!(1),
        ),
        ("order.nothing + 1", json!("missing")),
        ("sum(order.nothing)", json!("missing")),
    ] {
        assert_eq!(value(text), Ok(wanted), "{text}");
    }
}

#[test]
fn conditions_combine_and_what_is_missing_does_not_hold() {
    for (text, wanted) in [
        ("order.status == open and not order.nothing", true),
        ("order.status == shipped or order.zero < 1", true),
        ("order.status in new, open and order.zero == 0", true),
        ("order.status not in new, open", false),
        ("order.status in [new, \"open\"]", true),
        ("order.placed < order.sent and order.sent <= now", true),
        ("order.nothing != 1", false),
        ("order.gone < now", false),
        ("order.gone == null", true),
        ("order.status == point", false),
        ("order.status == (order)", false),
        ("\"i1\" in order.items.id", true),
        ("all(order.items, item.count >= 1)", true),
        ("order.zero == 0 or 1 / order.zero > 2", true),
    ] {
        let read = Expression::parse(text, &known).unwrap();
        assert_eq!(read.holds(&order()), Ok(wanted), "{text}");
    }
}

#[test]
fn what_has_no_answer_is_an_error_that_says_why() {
    for (text, why) in [
        ("1 / order.zero", "divides 1 by zero"),
        ("5 % order.zero", "by zero"),
        ("order.status + 1", "no number"),
        ("order.status < 3", "neither two numbers nor two dates"),
        ("days(order.status, now)", "no date"),
        ("add_days(now, 99999999999)", "no date"),
        (
            "99999999999999999999999999999 * 99999999999999999999999999999",
            "too large",
        ),
        ("sum(order.zero)", "no list"),
        ("order.status and true", "neither true nor false"),
    ] {
        let found = value(text).unwrap_err();
        assert!(found.contains(why), "{text}: {found}");
    }
    for (text, why) in [
        ("order.status = open", "`==`"),
        ("oder.status == open", "no fact"),
        ("new == open", "no fact"),
        ("1 == 1", "two fixed values"),
        ("order.status == sports car", "quotes"),
        ("order.status == \"open", "does not end"),
        ("suum(order.items)", "there is no function `suum`"),
        ("days(order.placed)", "other arguments"),
        ("(order.zero", "`)` is missing"),
        ("order.zero >", "too early"),
        ("any(order in order.items, true)", "has a meaning already"),
        ("3d", "quotes"),
        ("order.zero ~ 1", "no meaning"),
    ] {
        let found = Expression::parse(text, &known).unwrap_err();
        assert!(found.contains(why), "{text}: {found}");
    }
    assert!(Expression::parse(&"(".repeat(1000), &known).is_err());
}

#[test]
fn an_expression_knows_what_it_reads() {
    let read = Expression::parse(
        "sum(order.items where item.state == kept, item.price) > total",
        &known,
    )
    .unwrap();
    assert_eq!(read.names, ["order", "total"]);
    assert_eq!(
        read.paths,
        [
            "order.items",
            "order.items.state",
            "order.items.price",
            "total"
        ]
    );
    let record = json!({"items": {"a": {"price": 1}}, "list": [{"x": {"y": 1}}]});
    for (path, reached) in [
        ("items.price", true),
        ("items.prise", false),
        ("list[0].x.y", true),
        ("list.x.z", false),
    ] {
        assert_eq!(reaches(&record, path), reached, "{path}");
    }
}

proptest! {
    #[test]
    fn sums_are_those_of_whole_cents(cents in prop::collection::vec(-1_000_000_i64..1_000_000, 0..20)) {
        let prices: Vec<Value> = cents.iter().map(|cents| json!(*cents as f64 / 100.0)).collect();
        let order = Order(json!({"prices": prices}));
        let sum = Expression::parse("round(sum(order.prices) * 100)", &known).unwrap().value(&order);
        prop_assert_eq!(sum, Ok(Some(json!(cents.iter().sum::<i64>()))));
    }

    #[test]
    fn days_are_added_and_counted_alike(days in -700_000_i64..700_000) {
        let order = Order(json!({"n": days}));
        let text = "days(now, add_days(now, order.n))";
        let counted = Expression::parse(text, &known).unwrap().value(&order);
        prop_assert_eq!(counted, Ok(Some(json!(days))));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9 .,()\\[\\]\"<>=!+*/%'_-]{0,60}") {
        if let Ok(read) = Expression::parse(&text, &known) {
            let _ = read.value(&order());
            let _ = read.holds(&order());
        }
    }
}
