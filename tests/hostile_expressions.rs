//! Expressions that are meant to cost: refused while the file is read, wherever an expression comes in.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use touchline::domain::expression::{Expression, Value};
use touchline::intake::Mapping;

/// Ten items walked over eight levels deep: 10^8 steps for each customer.
fn nested(levels: usize) -> String {
    let list = "[0,1,2,3,4,5,6,7,8,9]";
    (0..levels).fold("true".to_owned(), |inner, n| format!("{list}.all(v{n}, {inner})"))
}

/// Each link doubles the text: 2^80 bytes.
fn doubling(links: usize) -> String {
    format!("size({}{}) > 0", r#"["xxxxxxxx"]"#, ".map(a, a + a)".repeat(links))
}

#[test]
fn bombs_are_refused_before_anybody_evaluates_them() {
    for bomb in [nested(2), nested(8), doubling(3), doubling(80), format!("{} && {}", nested(1), [nested(1).as_str(); 9].join(" && "))] {
        let refused = Expression::compile(&bomb).expect_err(&bomb);
        assert!(refused.contains("one walk over a list too many"), "{refused}");
    }
    for text in ["(".repeat(10_000), "-".repeat(50_000), "a + ".repeat(5_000) + "a", format!("\"{}\" == a", "x".repeat(5_000))] {
        assert!(Expression::compile(&text).is_err(), "{}", text.chars().take(20).collect::<String>());
    }
    let walks = Expression::compile(r#"["gold", "silver"].exists(t, t == tier) && [1, 2].map(n, n + 1).exists(n, n == kids)"#).unwrap();
    assert_eq!(walks.holds([("tier", Value::Text("gold".into())), ("kids", Value::Int(3))]), Ok(true), "what is of use still works");
}

/// The CEL crate's parser panics on some texts, which ends a release build; a mapping may come over HTTP.
#[test]
fn a_mapping_cannot_bring_what_a_campaign_cannot() {
    let mapping = |expression: &str| {
        let quoted = expression.replace('\'', "''");
        Mapping::load("m", &format!("kind: customers\nformat: csv\ncolumns:\n  ref: no\nwhere: '{quoted}'\n"))
    };
    assert!(mapping("lower(no) != 'x' && size(no) > 2").is_ok());
    for bomb in [nested(8), doubling(80), "(".repeat(3_000), "no == \"\u{0}".to_owned(), "1 ? 2".to_owned(), "no == b'x'".to_owned()] {
        assert!(mapping(&bomb).is_err(), "{}", bomb.chars().take(40).collect::<String>());
    }
}
