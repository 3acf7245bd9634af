//! A CSV file may be anything: the import ends with an error or with sums that close; never a panic, a hang or a lost row.
#![no_main]
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;
use touchline::domain::time::Timestamp;
use touchline::intake::{ImportRequest, Kind, Mapping, import};
use touchline::store::memory::MemoryStore;

const MAP: &str = "header: no\nnames: [a, b]\ndelimiter: ';'\ncolumns: {ref: a, phone: {column: b, region: CN, optional: yes}, attr.n: {column: b, type: decimal, optional: yes}}";

fuzz_target!(|data: &[u8]| {
    static RUNTIME: OnceLock<(tokio::runtime::Runtime, Mapping)> = OnceLock::new();
    let (runtime, mapping) = RUNTIME.get_or_init(|| {
        (tokio::runtime::Builder::new_current_thread().build().expect("a runtime"), Mapping::load("fuzz.map.yaml", MAP).expect("a sound mapping"))
    });
    let folder = std::env::temp_dir().join(format!("touchline-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (file, rejects) = (folder.join("in.csv"), folder.join("in.rejects.csv"));
    std::fs::write(&file, data).expect("a file");
    let store = MemoryStore::new();
    let request =
        ImportRequest { kind: Kind::Customers, file: &file, mapping, name: Some("all"), rejects: &rejects, now: Timestamp(0), again: false, withdrawn: None };
    if let Ok(report) = runtime.block_on(import(&store, request, &mut |sums| assert!(sums.closed(), "{sums:?}"))) {
        assert!(report.sums.closed(), "{:?}", report.sums);
        assert_eq!(report.list.map(|l| l.count), i64::try_from(report.sums.accepted).ok());
        let lines = data.split(|b| *b == b'\n').count() as u64;
        assert!(report.sums.rows_read <= lines, "more rows than lines: {:?}", report.sums);
    }
});
