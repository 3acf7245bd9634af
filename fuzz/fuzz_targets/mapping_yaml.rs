//! A mapping file may be anything: it is loaded, or every fault has a message and a place in the file; never a panic.
#![no_main]
use libfuzzer_sys::fuzz_target;
use touchline::intake::Mapping;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Mapping::load("fuzz.map.yaml", text) {
        Ok(mapping) => assert_eq!(mapping.hash().len(), 64),
        Err(faults) => {
            assert!(!faults.is_empty(), "no mapping, and no fault");
            let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() as u64;
            assert!(faults.iter().all(|f| !f.message.is_empty() && f.line <= lines + 1), "{faults:?}");
        }
    }
});
