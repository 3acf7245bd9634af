//! A kill at any moment loses and repeats nothing.
use crate::{Desk, NOW, five};
use std::future::Future;
use std::task::{Context, Poll, Waker};
use touchline::intake::{ImportRequest, Kind, Mapping, import};
use touchline::store::memory::MemoryStore;
use touchline::store::{CustomerBook, ListBook};

const MAP: &str = "where: 'no != \"skip\"'\ncolumns: {ref: no, attr.n: {column: n, type: int}}";

/// 92,000 rows: every tenth is rejected, some repeat an earlier one in another batch, some are filtered.
fn rows() -> String {
    let mut text = String::from("no,n\n");
    for i in 0..92_000_u32 {
        match i {
            _ if i % 10 == 3 => text.push_str(&format!("c{i},x{i}\n")),
            _ if i % 1_000 == 7 && i > 24_000 => text.push_str("c7,1\n"),
            _ if i % 50 == 9 => text.push_str("skip,1\n"),
            _ => text.push_str(&format!("c{i},{i}\n")),
        }
    }
    text
}

/// Runs an import and drops it after so many batches, as a kill would.
fn killed_after(store: &MemoryStore, request: ImportRequest<'_>, batches: usize) -> bool {
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let mut progress = |_: &touchline::intake::Sums| {
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let mut future = Box::pin(import(store, request, &mut progress));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            done.unwrap();
            return false;
        }
        if seen.load(std::sync::atomic::Ordering::Relaxed) >= batches {
            return true;
        }
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn an_import_goes_on_where_it_was_killed() {
    let whole = (Desk::new(), MemoryStore::new());
    let file = whole.0.file("in.csv", rows());
    let expected = whole.0.import(&whole.1, Kind::Customers, &file, MAP, Some("all")).await.unwrap();
    assert_eq!(expected.sums.rows_read, 92_000);
    assert!(expected.sums.duplicates > 10 && expected.sums.filtered > 100 && expected.sums.rejected == 9_200);
    for killed in [0, 1, 3, 4] {
        let (desk, store) = (Desk::new(), MemoryStore::new());
        let file = desk.file("in.csv", rows());
        let mapping = Mapping::load("test.map.yaml", MAP).unwrap();
        let rejects = desk.rejects();
        let request = ImportRequest {
            kind: Kind::Customers,
            file: &file,
            mapping: &mapping,
            name: Some("all"),
            rejects: &rejects,
            now: NOW,
            again: false,
            withdrawn: None,
        };
        killed_after(&store, request, killed);
        // What a kill leaves beyond the last commit in the rejects file is taken back.
        if rejects.exists() {
            std::fs::OpenOptions::new().append(true).open(&rejects).and_then(|mut f| std::io::Write::write_all(&mut f, b"half a li")).unwrap();
        }
        let report = desk.import(&store, Kind::Customers, &file, MAP, Some("all")).await.unwrap();
        assert_eq!(five(&report), five(&expected), "killed after {killed} batches");
        assert!(killed == 0 || report.resumed_from >= 20_000 * killed as u64, "{}", report.resumed_from);
        assert_eq!(report.list.as_ref().unwrap().checksum, expected.list.as_ref().unwrap().checksum);
        assert_eq!(desk.rejected(), whole.0.rejected());
        assert_eq!(store.customer_count().await.unwrap(), whole.1.customer_count().await.unwrap());
        assert_eq!(store.list("all").await.unwrap().count, i64::try_from(report.sums.accepted).unwrap());
    }
}

#[tokio::test]
async fn a_file_imported_in_full_is_answered_with_its_sums() {
    let (desk, store) = (Desk::new(), MemoryStore::new());
    let file = desk.file("in.csv", rows());
    let first = desk.import(&store, Kind::Customers, &file, MAP, Some("all")).await.unwrap();
    assert!(!first.already);
    let second = desk.import(&store, Kind::Customers, &file, MAP, Some("all")).await.unwrap();
    assert!(second.already);
    assert_eq!((five(&second), second.list.as_ref().unwrap().count), (five(&first), first.list.as_ref().unwrap().count));
    assert_eq!(second.rejects, first.rejects, "the rejects file of the first import is still there");
    // Another mapping, or the same file under no name, is another import.
    let third = desk.import(&store, Kind::Customers, &file, MAP, None).await.unwrap();
    assert!(!third.already);
    let mapping = Mapping::load("test.map.yaml", MAP).unwrap();
    let request = ImportRequest {
        kind: Kind::Customers,
        file: &file,
        mapping: &mapping,
        name: None,
        rejects: &desk.rejects(),
        now: NOW,
        again: true,
        withdrawn: None,
    };
    let again = import(&store, request, &mut |_| ()).await.unwrap();
    assert!(!again.already);
    assert_eq!((five(&again), again.inserted), (five(&first), 0));
}

#[tokio::test]
async fn a_lost_rejects_file_is_told() {
    let (desk, store) = (Desk::new(), MemoryStore::new());
    let file = desk.file("in.csv", rows());
    let mapping = Mapping::load("test.map.yaml", MAP).unwrap();
    let rejects = desk.rejects();
    let request = ImportRequest {
        kind: Kind::Customers,
        file: &file,
        mapping: &mapping,
        name: None,
        rejects: &rejects,
        now: NOW,
        again: false,
        withdrawn: None,
    };
    assert!(killed_after(&store, request, 2));
    std::fs::remove_file(&rejects).unwrap();
    let report = desk.import(&store, Kind::Customers, &file, MAP, None).await.unwrap();
    assert_eq!(report.sums.rejected, 9_200);
    assert!(report.notes[0].contains("no longer listed"), "{:?}", report.notes);
    assert!(report.sums.closed());
}
