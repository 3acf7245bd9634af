//! Property tests: whatever is written, reading it ends, and its faults lie inside the text.
use super::*;
use proptest::prelude::*;

/// Checks that every place lies inside the text and agrees with line and column; and that drawing does not fail.
fn inside(text: &str, faults: &[Diagnostic]) {
    assert!(!faults.is_empty());
    let lines = 1 + text.replace("\r\n", "\n").matches(['\n', '\r']).count();
    for fault in faults {
        let end = fault.span.offset + fault.span.length;
        assert!(text.get(fault.span.offset..end).is_some(), "{fault} {:?} outside of {} bytes", fault.span, text.len());
        assert!((1..=lines).contains(&fault.line) && fault.column >= 1, "{fault}");
        assert!(fault.span.length > 0 || text.trim().is_empty(), "{fault} points at nothing");
    }
    assert!(!render(faults, false).contains('\u{1b}'));
}

fn try_out(text: &str) {
    for known in [Known::default(), demo()] {
        if let Err(faults) = load_with("f", text, &known) {
            inside(text, &faults);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        try_out(&text);
    }

    #[test]
    fn text_of_yaml_marks_never_panics(text in "[-a-z:\\[\\]{}'\"|>&*!%#,? \n\r\t中💥\u{feff}]{0,120}") {
        try_out(&text);
    }

    #[test]
    fn mutated_examples_never_panic(which in 0_usize..9, edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, "[-a-z0-9:\\[\\]{}'\"|%& \n\t中💥]{0,6}"), 1..4)) {
        let mut text = examples()[which].1.clone();
        for (at, remove, insert) in edits {
            let chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len() + 1);
            text = chars[..at].iter().copied().chain(insert.chars()).chain(chars[(at + remove).min(chars.len())..].iter().copied()).collect();
        }
        try_out(&text);
    }

    #[test]
    fn arbitrary_expressions_never_panic(expression in "[-a-c0-3.()\\[\\]{}<>=!&|?:,+*/% \"'\\\\x中in]{1,40}") {
        let text = examples()[0].1.replace("where: 'job in [\"management\", \"admin.\", \"technician\", \"services\"]'", &format!("where: '{}'", expression.replace('\'', "''")));
        assert!(text != examples()[0].1);
        try_out(&text);
    }

    #[test]
    fn expressions_that_are_whole_compile(expression in expression_strategy()) {
        let text = examples()[0].1.replace("where: 'job in [\"management\", \"admin.\", \"technician\", \"services\"]'", &format!("where: '{expression} == 1'"));
        if let Err(faults) = load("f", &text) {
            let told = render(&faults, false);
            // Walks within walks are refused for what they cost, and for nothing else.
            let walks = expression.matches(".exists(").count();
            assert!(walks > 1 && told.contains("one walk over a list too many") && faults.len() == 1, "{expression}\n{told}");
        }
    }
}

/// Well-formed expressions: what our reader takes, the CEL crate must take too.
fn expression_strategy() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("a"), Just("b1"), Just("1"), Just("2.5"), Just("0x1f"), Just("\"t\""), Just("true"), Just("[1, 2]"), Just("1e3")]
        .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop_oneof![Just("+"), Just("-"), Just("*"), Just("/"), Just("%"), Just("=="), Just("<="), Just("in"), Just("&&"), Just("||")],
                inner.clone()
            )
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("size({a})")),
            inner.clone().prop_map(|a| format!("[{a}].exists(x, x == {a})")),
            inner.clone().prop_map(|a| format!("string({a}).startsWith(\"s\")")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}
