//! Templates that say what real tasks need: dates, sums, counts, field against field, loops, computed values, free text that is
//! not compared, a script, and a customer who knows a name and a postcode instead of an id.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use agoge_sandbox::Limits;
use agoge_world::{Compare, Domain, Mix, Solutions, Split, Task, World, possible, replay, tasks};
use serde_json::{Map, Value, json};

const TOOLS: &str = r#""""Tools of the shop."""


def find(name: str, zip: str) -> str:
    """Find a customer by name and zip."""
    for id in db_ids("customers"):
        c = db_get("customers", id)
        if c["name"] == name and c["zip"] == zip:
            return id
    raise ValueError("no such customer")


def give_back(order: str, item: str, reason: str) -> str:
    """Take an item of an order back; its state is then back, and the order has the reason."""
    o = db_get("orders", order)
    if o is None:
        raise ValueError("no such order")
    for line in o["items"]:
        if line["id"] == item:
            line["state"] = "back"
    o["reason"] = reason
    db_put("orders", order, o)
    return "ok"
"#;

const SCHEMA: &str = r##"{"type": "object", "properties": {
  "customers": {"type": "object", "additionalProperties": {"type": "object",
    "properties": {"name": {"type": "string"}, "zip": {"type": "string"}}}},
  "orders": {"type": "object", "additionalProperties": {"type": "object",
    "properties": {"customer": {"type": "string"}, "placed": {"type": "string", "format": "date"}, "reason": {"type": "string"},
      "items": {"type": "array", "items": {"type": "object"}}}}}
}}"##;

const TEMPLATE: &str = r#"name: return
topic: [return]
facts:
  order:
    record: orders
    asked: [order]
    question: ["which order is it?"]
    answers: ["order {order}."]
  customer:
    record: customers
    by: [name, zip]
    asked: [name, zip]
    question: ["what is your name and zip?"]
    answers: ["{customer.name}, and the zip is {customer.zip}."]
  why:
    one_of: [broken, wrong]
    asked: [reason]
    question: ["what is the reason?"]
    answers: ["it is {why}."]
compute:
  due: count(order.items where item.state == sent)
checker: returns.py
branches:
  - name: recent
    where:
      - order.customer == (customer)
      - days(order.placed, now) <= 30 and any(order.items, item.state == sent)
    compute:
      refund: sum(order.items where item.state == sent, item.price * item.count)
      ids: join(list(order.items where item.state == sent, item.id), " and ")
    compare: {give_back.reason: ignore}
    gold:
      - find: { name: "{customer.name}", zip: "{customer.zip}" }
      - for: line in order.items where line.state == sent
        do:
          give_back: { order: "{order}", item: "{line.id}", reason: "it is {why}" }
    outputs:
      - "{refund}"
      - for: line in order.items where line.state == sent
        do: "{line.id}"
    say: ["{ids} come back, and {refund} is refunded."]
  - name: late
    refusal: true
    where: ["order.customer == (customer)", "days(order.placed, now) > 30 or not any(order.items, item.state == sent)"]
    checker: |
      def check(calls, messages):
          return all(call["name"] != "give_back" for call in calls)
    gold:
      - find: { name: "{customer.name}", zip: "{customer.zip}" }
    outputs: [late]
    say: ["sorry, it is too late."]
wordings:
  - name: plain
    open: ["please return order {order}: it is {why}. i am {customer.name} of {customer.zip}."]
  - name: bare
    hold: [customer]
    open: ["i want to return order {order}, it is {why}."]
  - name: short
    hold: [customer, why]
    open: ["return order {order}, please."]
"#;

const SCRIPT: &str = "def check(calls, messages):
    order = final_get(\"orders\", FACTS[\"order\"])
    back = [line for line in order[\"items\"] if line[\"state\"] == \"back\"]
    return {\"back\": len(back) == FACTS[\"due\"]}
";

fn state() -> Value {
    let (mut customers, mut orders) = (Map::new(), Map::new());
    for n in 0..120_u32 {
        let id = format!("c{n}");
        let name = ["Ann", "Bob", "Eve"][n as usize % 3];
        // The last three cannot be told apart.
        let zip = (80_000 + n.min(117)).to_string();
        let name = if n >= 117 { "Zoe" } else { name };
        customers.insert(id.clone(), json!({"name": name, "zip": zip}));
        let placed = if n % 4 < 2 {
            "2025-02-20"
        } else {
            "2025-01-02"
        };
        let states = if n % 2 == 0 {
            ["sent", "sent"]
        } else {
            ["kept", "sent"]
        };
        let item = |at: usize| json!({"id": format!("i{}", 2 * n as usize + at), "price": 0.1 + at as f64, "count": at + 2, "state": states[at]});
        let items = json!([item(0), item(1)]);
        orders.insert(
            format!("w{n}"),
            json!({"customer": id, "placed": placed, "reason": "", "items": items}),
        );
    }
    json!({"customers": customers, "orders": orders})
}

struct Shop(tempfile::TempDir);

impl Shop {
    fn new() -> Self {
        let shop = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(shop.0.path().join("templates")).unwrap();
        let head = "name: shop\nformat: 2\nnow: \"2025-03-10T09:00:00\"\nprompt: shop\n\
                    split: {by: owner, owner: {orders: customer, customers: id}}\n";
        let policy = "Find the customer first.\nWithin 30 days every item that was sent comes back. After that it is **late**.\n";
        for (file, text) in [
            ("domain.yaml", head),
            ("policy.md", policy),
            ("tools.py", TOOLS),
            ("schema.json", SCHEMA),
            ("state.json", &state().to_string()),
            ("templates/return.yaml", TEMPLATE),
            ("templates/returns.py", SCRIPT),
        ] {
            std::fs::write(shop.0.path().join(file), text).unwrap();
        }
        shop
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("templates/return.yaml")
    }

    fn change(&self, from: &str, to: &str) -> &Self {
        let text = std::fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(from), "{from:?}");
        std::fs::write(self.file(), text.replacen(from, to, 1)).unwrap();
        self
    }

    fn world(&self) -> World {
        World::open(
            Arc::new(Domain::load(self.0.path()).unwrap()),
            Limits::default(),
        )
        .unwrap()
    }
}

fn drawn(world: &mut World, split: Split) -> Vec<Task> {
    let most = possible(world, split, Mix::EvenBranches);
    assert!(most > 8, "{most}");
    tasks(world, split, Mix::EvenBranches, 7, most.min(24)).unwrap()
}

#[test]
fn the_shop_has_no_problem() {
    assert_eq!(Domain::check(Shop::new().0.path()), []);
}

#[test]
fn a_task_has_its_sums_loops_and_the_order_of_its_own_customer() {
    let shop = Shop::new();
    let mut world = shop.world();
    let domain = world.domain().clone();
    let solutions = Solutions::new(&domain);
    for split in [Split::Heldout, Split::TrainSft, Split::TrainRl] {
        for task in drawn(&mut world, split) {
            let fact = |name: &str| {
                task.user
                    .facts
                    .iter()
                    .find(|fact| fact.name == name)
                    .unwrap()
            };
            let order = domain.state.get("orders", &fact("order").value).unwrap();
            let customer = domain
                .state
                .get("customers", order["customer"].as_str().unwrap())
                .unwrap();
            let (name, zip) = (
                customer["name"].as_str().unwrap(),
                customer["zip"].as_str().unwrap(),
            );
            assert_eq!(fact("customer").parts, [name, zip]);
            assert!(name != "Zoe", "{}", task.id);
            let script = task.checker.as_ref().unwrap();
            assert!(
                script.contains(&format!("\"customer\": {}", order["customer"])),
                "{script}"
            );
            if task.refusal {
                assert!(task.gold.len() == 1 && script.contains("give_back"));
                continue;
            }
            let sent: Vec<&Value> = order["items"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|line| line["state"] == "sent")
                .collect();
            assert_eq!(task.gold.len(), 1 + sent.len());
            let refund = if sent.len() == 2 { "3.5" } else { "3.3" };
            let mut outputs = vec![refund];
            outputs.extend(sent.iter().map(|line| line["id"].as_str().unwrap()));
            assert_eq!(task.outputs, outputs);
            assert_eq!(
                task.comparison("give_back", "reason"),
                Some(Compare::Ignore)
            );
            let changed = replay(&mut world, &task).unwrap().diff(&domain);
            assert_eq!(changed.len(), 2, "{changed:?}");
            let solution = solutions.of(&task);
            assert_eq!(solution.len(), 1);
            assert_eq!(
                (&solution[0].gold, &solution[0].outputs),
                (&task.gold, &task.outputs)
            );
        }
    }
}

#[test]
fn the_same_seed_draws_the_same_tasks_and_none_twice() {
    let shop = Shop::new();
    let once = drawn(&mut shop.world(), Split::TrainRl);
    assert_eq!(once, drawn(&mut shop.world(), Split::TrainRl));
    let mut ids: Vec<&str> = once.iter().map(|task| task.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), once.len());
}

#[test]
fn faults_are_told_with_their_line() {
    for (from, to, line, word) in [
        (
            "order.customer == (customer)",
            "order.customer == (custmer)",
            26,
            "no fact",
        ),
        (
            "any(order.items, item.state == sent)\n",
            "any(order.items, item.sate == sent)\n",
            24,
            "`sate` in `items`",
        ),
        (
            "days(order.placed, now) <= 30",
            "days(order.plced, now) <= 30",
            27,
            "a field `plced`",
        ),
        (
            "days(order.placed, now) <= 30",
            "1 / (count(order.items) - 2) > 0",
            27,
            "divides 1 by zero",
        ),
        (
            "days(order.placed, now) <= 30",
            "days(order.reason, now) <= 30",
            27,
            "no date",
        ),
        (
            "refund: sum(",
            "refund: summ(",
            29,
            "there is no function `summ`",
        ),
        (
            "due: count(",
            "order: count(",
            21,
            "the name of something else",
        ),
        (
            "give_back.reason: ignore",
            "give_back.resaon: ignore",
            31,
            "no argument of a gold call",
        ),
        (
            "for: line in order.items where line.state == sent\n        do:\n",
            "for: line in ordr.items\n        do:\n",
            34,
            "no fact",
        ),
        (
            "answers: [\"{customer.name}, and",
            "answers: [\"{customer.nme}, and",
            9,
            "does not tell it",
        ),
        (
            "return all(",
            "import uuid\n          return all(",
            45,
            "no module `uuid`",
        ),
        (
            "checker: returns.py",
            "checker: ../returns.py",
            22,
            "no file of the templates folder",
        ),
    ] {
        let shop = Shop::new();
        shop.change(from, to);
        let found = Domain::check(shop.0.path());
        let told = found.iter().any(|one| {
            one.file == shop.file() && one.line == Some(line) && one.message.contains(word)
        });
        assert!(told, "no line {line} {word:?} in {found:#?}");
    }
}

#[test]
fn a_loop_without_an_end_in_sight_and_a_key_that_does_not_exist_are_refused() {
    let shop = Shop::new();
    shop.change(
        "    compare: {give_back.reason: ignore}",
        "    compares: {}",
    );
    assert!(Domain::check(shop.0.path())[0].message.contains("compares"));

    let shop = Shop::new();
    let many: Vec<Value> = (0..101)
        .map(|n| json!({"id": n.to_string(), "price": 1, "count": 1, "state": "sent"}))
        .collect();
    let mut state = state();
    for order in state["orders"].as_object_mut().unwrap().values_mut() {
        order["items"] = json!(many);
    }
    std::fs::write(shop.0.path().join("state.json"), state.to_string()).unwrap();
    let error = tasks(&mut shop.world(), Split::Heldout, Mix::EvenBranches, 1, 4)
        .unwrap_err()
        .to_string();
    assert!(error.contains("is longer than 100"), "{error}");
}
