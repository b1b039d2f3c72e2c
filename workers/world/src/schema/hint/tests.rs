use super::*;
use agoge_sandbox::signatures;

fn of(source: &str, format: Format) -> Result<ToolSpec, (String, String)> {
    let found = signatures(source).unwrap();
    tool(&found[0], &Types::of(source), format)
}

fn hint(hint: &str) -> Value {
    let tool = of(
        &format!("def f(x: {hint}) -> str:\n    return ''\n"),
        Format::Two,
    )
    .unwrap();
    tool.parameters["properties"]["x"].clone()
}

const BOOK: &str = r#"
from typing import Literal, NotRequired, TypedDict
from dataclasses import dataclass

Cabin = Literal["economy", "business"]

class Leg(TypedDict):
    """One flight."""
    number: str
    """Such as HAT001."""
    date: date

class Named(TypedDict):
    name: str

class Passenger(Named):
    dob: str
    bags: NotRequired[int]

@dataclass
class Card:
    id: str
    amount: float = 0.5

@dataclass
class Gift:
    code: str

def book(user: str, cabin: Cabin, legs: list[Leg], passengers: list[Passenger], pay: Card | Gift | None = None,
         extras: dict[str, list[int]] = {}, seats: tuple[int, str] = (1, "A"), note: int | str | None = None) -> dict:
    """Book a trip.

    Looks nothing up.

    Args:
        user: Such as `sara_2`, and
            never a name.
        legs (list[Leg]): In order: the first one first.

    Returns:
        The trip.
    """
    return {}
"#;

#[test]
fn a_modules_own_types_become_nested_schemas_in_format_two() {
    let tool = of(BOOK, Format::Two).unwrap();
    assert_eq!(
        tool.description,
        "Book a trip.\n\nLooks nothing up.\n\nReturns:\nThe trip."
    );
    let card = json!({"type": "object", "properties": {"id": {"type": "string"},
        "amount": {"type": "number", "default": 0.5}}, "required": ["id"], "additionalProperties": false});
    let gift = json!({"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"],
        "additionalProperties": false});
    let passenger = json!({"type": "object", "properties": {"name": {"type": "string"},
        "dob": {"type": "string"}, "bags": {"type": "integer"}}, "required": ["name", "dob"],
        "additionalProperties": false});
    let leg = json!({"type": "object", "properties": {
        "number": {"type": "string", "description": "Such as HAT001."},
        "date": {"type": "string", "format": "date"}}, "required": ["number", "date"],
        "additionalProperties": false, "description": "One flight."});
    let expected = json!({
        "user": {"type": "string", "description": "Such as `sara_2`, and never a name."},
        "cabin": {"type": "string", "enum": ["economy", "business"]},
        "legs": {"type": "array", "items": leg, "description": "In order: the first one first."},
        "passengers": {"type": "array", "items": passenger},
        "pay": {"anyOf": [card, gift, {"type": "null"}], "default": null},
        "extras": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
        "seats": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false,
            "minItems": 2, "maxItems": 2},
        "note": {"type": ["integer", "string", "null"], "default": null},
    });
    let found = &tool.parameters["properties"];
    assert_eq!(found, &expected, "{found:#}");
    assert_eq!(
        tool.parameters["required"],
        json!(["user", "cabin", "legs", "passengers"])
    );
}

#[test]
fn format_one_derives_what_it_always_did() {
    let source = "def f(a: dict[str, int], b: Literal['x'] | None = None, c: list[int] | None = None) -> str:\n    \"\"\"Do.\n\n    Args:\n        a: A.\n    \"\"\"\n    return ''\n";
    let tool = of(source, Format::One).unwrap();
    assert_eq!(tool.description, "Do.\n\nArgs:\na: A.");
    let written = r#"{"type":"object","properties":{"a":{"type":"object"},"b":{"type":["string","null"],"enum":["x",null],"default":null},"c":{"type":["array","null"],"items":{"type":"integer"},"default":null}},"required":["a"],"additionalProperties":false}"#;
    assert_eq!(tool.parameters.to_string(), written);
}

#[test]
fn a_choice_has_the_type_of_its_values_and_takes_none_where_the_hint_does() {
    assert_eq!(
        hint("Literal['am', 'pm']"),
        json!({"type": "string", "enum": ["am", "pm"]})
    );
    assert_eq!(
        hint("Literal[1, 2] | None"),
        json!({"type": ["integer", "null"], "enum": [1, 2, null]})
    );
    assert_eq!(hint("Literal[1, 'x']"), json!({"enum": [1, "x"]}));
    assert_eq!(hint("None"), json!({"type": "null"}));
    assert_eq!(hint("Any | None"), json!({}));
    assert_eq!(
        hint("Annotated[int, 'Whole days.']"),
        json!({"type": "integer", "description": "Whole days."})
    );
}

#[test]
fn a_type_without_a_schema_is_refused_with_its_place() {
    for (types, hint, words) in [
        (
            "",
            "set[int]",
            "the type `set[int]`, which JSON does not have",
        ),
        ("", "dict[int, str]", "whose keys are no texts"),
        (
            "class A:\n    x: int\n",
            "A",
            "a class without declared fields",
        ),
        (
            "class A(TypedDict):\n    x: list['A']\n",
            "A",
            "which contains itself",
        ),
        (
            "class A(TypedDict):\n    x: bytes\n",
            "list[A]",
            "whose `x` is `bytes`, which JSON",
        ),
    ] {
        let source = format!("{types}def f(x: {hint}) -> str:\n    return ''\n");
        let (message, remedy) = of(&source, Format::Two).unwrap_err();
        assert!(message.contains(words) && !remedy.is_empty(), "{message}");
    }
}
