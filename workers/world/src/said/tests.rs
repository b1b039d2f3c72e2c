//! Spellings that say a value and spellings that do not, by kind; and numbers in every form.

use proptest::prelude::*;

use super::*;
use crate::task::Task;

#[track_caller]
fn said(pairs: &[(&str, &str)]) {
    for (text, value) in pairs {
        assert!(says(text, value), "{text:?} does not say {value:?}");
    }
}

#[track_caller]
fn unsaid(pairs: &[(&str, &str)]) {
    for (text, value) in pairs {
        assert!(!says(text, value), "{text:?} says {value:?}");
    }
}

#[test]
fn words_are_whole_whatever_their_case_spacing_and_punctuation() {
    said(&[
        ("Your parcel is  HELD\nat the depot.", "held at the depot"),
        ("It is **held** (at the depot).", "held at the depot"),
        ("Reference P-1.", "p-1"),
        ("seat 14C, please", "14c"),
        ("written in C#", "C#"),
        ("arrives 2025-03-04, latest", "2025-03-04"),
        ("order W77", "#W77"),
        ("anything", ""),
    ]);
    unsaid(&[
        ("We withheld it", "held"),
        ("Reference P-12", "P-1"),
        ("shelf mu_77-c2", "mu_77"),
        ("written in C", "C#"),
        ("held, but not at a depot", "held at the depot"),
    ]);
    assert!(mentions("a - b", "a") && !mentions("a - b", "-") && says("a - b", "-"));
}

#[test]
fn one_word_has_many_spellings() {
    said(&[
        ("Zürich", "Zu\u{308}rich"),
        ("ZU\u{308}RICH", "zürich"),
        ("GROSSE STRASSE", "große Straße"),
        ("ŚRODA", "środa"),
        ("İZMİR", "izmir"),
        ("ΟΔΟΣ", "οδος"),
        ("re\u{ad}fund\u{200b}ed", "refunded"),
        ("ｒｅｆｕｎｄｅｄ", "refunded"),
        ("the 2025\u{2011}03\u{2011}04", "2025-03-04"),
        ("it\u{2019}s open—now", "it's open now"),
        ("“held”", "held"),
    ]);
    unsaid(&[("resume", "résumé"), ("naïve", "naive")]);
}

#[test]
fn a_number_is_said_by_its_value_among_signs_currencies_and_units() {
    said(&[
        ("It costs $7.20/week", "7.20"),
        ("GBP7.20", "7.2"),
        ("7.20GBP", "7.2"),
        ("7,20 zł", "7.20"),
        ("¥980円", "980"),
        ("a 9-night stay", "9"),
        ("9kg, x4, 6%", "9"),
        ("9kg, x4, 6%", "4"),
        ("9kg, x4, 6%", "6"),
        ("ticket #48810", "48810"),
        ("No 5, No5, №5", "5"),
        ("2½ hours", "2.5"),
        ("\u{2212}4 °C", "-4"),
        ("−$4", "-4"),
        ("(4) or **4**", "4"),
        ("4 - 6 days", "4"),
        ("12.5", "12.50"),
        ("12.50 EUR", "12.5 EUR"),
        ("EUR 12.50", "12.5 EUR"),
    ]);
    unsaid(&[
        ("412.50", "12.50"),
        ("48810", "4881"),
        ("4881", "48810"),
        ("-4", "4"),
        ("4", "-4"),
        ("4-6 days", "4"),
        ("4–6 days", "6"),
        ("P12.5", "12.5"),
        ("house 12b", "12"),
        ("3k, 3rd, 3万", "3"),
        ("10²", "102"),
        ("agent 007", "7"),
        ("1,2,3", "123"),
        ("1,2,3", "2"),
        ("$12.50", "12.50 EUR"),
    ]);
}

#[test]
fn dates_times_versions_and_ranges_say_themselves_and_no_part() {
    for (text, part) in [
        ("2024-05-03", "3"),
        ("2024-05-03", "2024"),
        ("03/05/2024", "5"),
        ("3.5.2024", "3.5"),
        ("17:45", "17"),
        ("1.2.3", "1.2"),
        ("10.0.0.5", "10"),
        ("2024年5月3日", "5"),
        ("4~6", "4"),
        ("1/2", "1"),
    ] {
        let sentence = format!("It is {text}.");
        unsaid(&[(sentence.as_str(), part)]);
        said(&[(sentence.as_str(), text)]);
    }
    said(&[("by 5:45pm", "5:45"), ("by 5:45 PM", "5:45pm")]);
}

#[test]
fn digits_and_separators_of_other_scripts_are_numbers() {
    said(&[
        ("１，２５０．５０", "1250.50"),
        ("١٬٢٥٠٫٥", "1250.5"),
        ("१२५०", "1250"),
        ("๒๕๐บาท", "250"),
        ("و5", "5"),
    ]);
}

#[test]
fn scripts_without_spaces_are_searched_by_graphemes_and_their_numbers_are_whole() {
    said(&[
        ("您的订单已发往广州。", "广州"),
        ("共收取120元", "120"),
        ("ご予約はキャンセルされました。", "キャンセル"),
        ("ご予約はｷｬﾝｾﾙされました。", "キャンセル"),
        ("การสมัครของคุณต่ออายุแล้ว", "ต่ออายุ"),
        ("서울에 도착했습니다", "서울"),
    ]);
    unsaid(&[
        ("您的订单已发往广州。", "州广"),
        ("共收取120元", "12"),
        // A consonant without its vowel sign is another grapheme.
        ("กี่", "ก"),
    ]);
}

#[test]
fn a_question_has_a_question_mark_of_any_script() {
    for question in ["which one?", "哪一个？", "أيهما؟", "ποιο;", "ո՞րն՞"] {
        assert!(is_question(question), "{question}");
    }
    assert!(!is_question("one; two;") && !is_question(""));
    assert_eq!(
        sentences("It is 12.5. 好的。哪个？ποιο; so; yes"),
        ["It is 12.5.", "好的。", "哪个？", "ποιο;", "so; yes"]
    );
}

#[test]
fn an_output_is_said_by_accident_when_it_is_short_common_or_elsewhere() {
    for accident in ["7", "42", "yes", "Ja", "x", "好"] {
        assert!(said_by_accident(accident, &[]).is_some(), "{accident}");
    }
    for proof in ["renewed", "142", "4.20", "W7", "已续"] {
        assert_eq!(said_by_accident(proof, &["it is open"]), None, "{proof}");
    }
    let found = said_by_accident("142", &["it is open", "for 142 please"]).unwrap();
    assert!(found.to_string().contains("for 142 please"), "{found}");
}

fn task(id: &str, outputs: &[&str], answer: &str) -> Task {
    let text = serde_json::json!({"id": id, "user": {"opening": "hello"}, "gold": [],
        "agent": {"answer": answer}, "outputs": outputs});
    serde_json::from_value(text).unwrap()
}

#[test]
fn a_task_is_warned_about_when_all_its_outputs_are_accidents() {
    let tasks = [
        task("a", &["open"], "it is open."),
        task("b", &["shut"], "it is shut, not open."),
        task("c", &["kept", "7"], "it is kept for 7 days."),
        task("d", &["7"], "for 7 days."),
    ];
    let all: Vec<&Task> = tasks.iter().collect();
    let accidents = Accidents::of(&all);
    let found = tasks
        .each_ref()
        .map(|task| accidents.in_task(task).map(|a| a.output));
    assert_eq!(
        found,
        [Some("open".to_owned()), None, None, Some("7".to_owned())]
    );
}

/// A whole number in groups of three.
fn grouped(digits: &str, mark: &str) -> String {
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.iter().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(mark)
}

/// A whole number in groups of two before the last three.
fn indian(digits: &str) -> String {
    let Some(at) = digits.len().checked_sub(3).filter(|at| *at > 0) else {
        return digits.to_owned();
    };
    let groups: Vec<&[u8]> = digits.as_bytes()[..at].rchunks(2).rev().collect();
    let groups = groups.iter().map(|group| String::from_utf8_lossy(group));
    format!("{},{}", groups.collect::<Vec<_>>().join(","), &digits[at..])
}

/// Every form of a number: the whole part by its grouping, then the sign of the decimals.
fn forms(whole: &str, decimals: &str) -> Vec<String> {
    let forms = [
        (whole.to_owned(), "."),
        (whole.to_owned(), ","),
        (grouped(whole, ","), "."),
        (grouped(whole, "."), ","),
        (grouped(whole, " "), ","),
        (grouped(whole, "\u{202f}"), ","),
        (grouped(whole, "\u{a0}"), ","),
        (grouped(whole, "'"), "."),
        (grouped(whole, "\u{2019}"), "."),
        (indian(whole), "."),
    ];
    let with = |(whole, point): (String, &str)| match decimals {
        "" => whole,
        decimals => format!("{whole}{point}{decimals}"),
    };
    forms.into_iter().map(with).collect()
}

const AROUND: [(&str, &str); 18] = [
    ("", ""),
    ("$", ""),
    ("", "€"),
    ("EUR", ""),
    ("", "EUR"),
    ("EUR ", ""),
    ("", " zł"),
    ("", "/month"),
    ("", "-day"),
    ("", "kg"),
    ("#", ""),
    ("x", ""),
    ("(", ")"),
    ("**", "**"),
    ("共", "天"),
    ("", "%"),
    ("“", ".”"),
    ("", ", then"),
];

/// The digits in another script.
fn written(text: &str, zero: u32) -> String {
    let other = |c: char| match c.to_digit(10) {
        Some(digit) => char::from_u32(zero + digit).unwrap(),
        None => c,
    };
    text.chars().map(other).collect()
}

/// The number with one digit changed.
fn perturbed(form: &str, which: usize, by: u8) -> String {
    let digits: Vec<usize> = (0..form.len())
        .filter(|at| form.as_bytes()[*at].is_ascii_digit())
        .collect();
    let at = digits[which % digits.len()];
    let digit = (form.as_bytes()[at] - b'0' + by) % 10;
    format!("{}{digit}{}", &form[..at], &form[at + 1..])
}

proptest! {
    #[test]
    fn a_number_is_said_in_every_form_and_never_by_another(
        number in prop_oneof![1_u64..100, 100_u64..1_000_000, 1_000_000_u64..1_000_000_000_000],
        decimals in prop_oneof![Just(""), Just("5"), Just("50"), Just("05"), Just("125")],
        around in prop::sample::select(AROUND.to_vec()),
        zero in prop::sample::select(vec![0x30_u32, 0xff10, 0x660, 0x966]),
        which in 0_usize..100,
        by in 1_u8..10,
        more in 1_u8..10,
    ) {
        let whole = number.to_string();
        let value = if decimals.is_empty() { whole.clone() } else { format!("{whole}.{decimals}") };
        let text = |number: &str| format!("It is {}{number}{} now.", around.0, around.1);
        for form in forms(&whole, decimals) {
            let right = text(&written(&form, zero));
            prop_assert!(says(&right, &value), "{right:?} does not say {value:?}");
            for other in [perturbed(&form, which, by), format!("{more}{form}"), format!("{form}{more}")] {
                let wrong = text(&other);
                prop_assert!(!says(&wrong, &value), "{wrong:?} says {value:?}");
            }
        }
    }

    #[test]
    fn no_text_ends_the_search(text in "\\PC*", value in "\\PC{0,8}") {
        let _ = says(&text, &value);
        prop_assert!(says(&value, &value), "{value:?} does not say itself");
        let _ = sentences(&text);
    }
}

#[test]
fn amounts_are_told_from_ids_dates_and_plain_numbers() {
    for amount in [
        "12.50",
        "0.00",
        "-3.25",
        "1,250.00",
        "1.250,00",
        "1 250,00",
        "$5",
        "€ 12,5",
        "12 EUR",
        "USD 1,250",
        "12.50 $",
    ] {
        assert!(is_amount(amount), "{amount}");
    }
    for other in [
        "10201",
        "12",
        "2025-01-01",
        "01.05",
        "09.30",
        "1.2.3",
        "1.5",
        "3 days",
        "P12.50",
        "EUR",
        "",
        "$",
        "12.500",
        "1,25.00",
    ] {
        assert!(!is_amount(other), "{other}");
    }
}
