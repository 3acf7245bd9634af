//! Any text as a campaign file: no crash, every fault inside the text, and what loads once loads again the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use touchline::campaign_file::{Known, load, load_with, render};
use touchline::domain::channel::Channel;

fuzz_target!(|text: &str| {
    let known = Known {
        routes: vec![("sip-north".into(), Channel::Call), ("sms-main".into(), Channel::Sms)],
        lists: Some(vec!["demo-customers".into()]),
        attributes: Some(vec!["balance".into(), "name_masked".into()]),
    };
    match load_with("fuzz.yaml", text, &known) {
        // Knowing less can only allow more.
        Ok(campaign) => assert_eq!(load("fuzz.yaml", text).map(|c| c.hash()).ok(), Some(campaign.hash())),
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in &faults {
                assert!(text.get(fault.span.offset..fault.span.offset + fault.span.length).is_some(), "{fault} lies outside");
                assert!(fault.line >= 1 && fault.column >= 1);
            }
            assert!(!render(&faults, false).contains('\u{1b}'));
        }
    }
});
