//! What every storage must do, run on each of them.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::{Backend, on_each};
use vinfer_service::ids::Digest;
use vinfer_service::store::{Expect, Page, Store, StoreError, WatchEvent, Work};

#[test]
fn writes_are_conditional() {
    on_each(async |backend: Backend| {
        let records = &backend.store.records;
        assert_eq!(records.get("a.b").await, Ok(None));
        let first = records.put("a.b", b"1".to_vec(), Expect::Absent).await.unwrap();
        assert_eq!(records.put("a.b", b"2".to_vec(), Expect::Absent).await, Err(StoreError::Conflict));
        assert_eq!(records.put("a.c", b"2".to_vec(), Expect::Revision(first)).await, Err(StoreError::Conflict));
        let second = records.put("a.b", b"2".to_vec(), Expect::Revision(first)).await.unwrap();
        assert!(second > first);
        assert_eq!(records.put("a.b", b"3".to_vec(), Expect::Revision(first)).await, Err(StoreError::Conflict));
        assert_eq!(records.delete("a.b", first).await, Err(StoreError::Conflict));
        let read = records.get("a.b").await.unwrap().unwrap();
        assert_eq!((read.value.as_slice(), read.revision), (&b"2"[..], second));
        records.delete("a.b", second).await.unwrap();
        assert_eq!(records.get("a.b").await, Ok(None));
        // Gone is absent: the key can be used again, the old revision cannot.
        assert_eq!(records.put("a.b", b"4".to_vec(), Expect::Revision(second)).await, Err(StoreError::Conflict));
        let third = records.put("a.b", b"4".to_vec(), Expect::Absent).await.unwrap();
        assert!(third > second);
        for bad in ["", "a..b", "a b", "a.*", "a.>"] {
            assert!(records.put(bad, Vec::new(), Expect::Absent).await.is_err(), "{bad}");
        }
    });
}

#[test]
fn listings_are_ordered_and_paged() {
    on_each(async |backend: Backend| {
        let records = &backend.store.records;
        for key in ["t.c", "t.a", "t.b", "t.bb", "u.a", "t-x.a"] {
            records.put(key, key.as_bytes().to_vec(), Expect::Absent).await.unwrap();
        }
        let keys = async |page: Page| -> Vec<String> {
            records.list("t.", &page).await.unwrap().into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(Page::default()).await, ["t.a", "t.b", "t.bb", "t.c"]);
        let page = |after: Option<&str>, limit, descending| Page { after: after.map(str::to_owned), limit, descending };
        assert_eq!(keys(page(Some("t.b"), Some(1), false)).await, ["t.bb"]);
        assert_eq!(keys(page(None, Some(2), true)).await, ["t.c", "t.bb"]);
        assert_eq!(keys(page(Some("t.bb"), None, true)).await, ["t.b", "t.a"]);
        assert_eq!(keys(page(Some("t.c"), None, false)).await, Vec::<String>::new());
        let revision = records.get("t.b").await.unwrap().unwrap().revision;
        records.delete("t.b", revision).await.unwrap();
        assert_eq!(keys(Page::default()).await, ["t.a", "t.bb", "t.c"]);
    });
}

#[test]
fn one_of_many_writers_wins_each_revision() {
    on_each(async |backend: Backend| {
        let records = Arc::clone(&backend.store.records);
        let mut revision = records.put("n", b"0".to_vec(), Expect::Absent).await.unwrap();
        for round in 0..5 {
            let mut tasks = tokio::task::JoinSet::new();
            for writer in 0..6 {
                let records = Arc::clone(&records);
                tasks.spawn(async move {
                    records.put("n", format!("{round}.{writer}").into_bytes(), Expect::Revision(revision)).await
                });
            }
            let outcomes = tasks.join_all().await;
            let won: Vec<u64> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
            assert_eq!(won.len(), 1, "{outcomes:?}");
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(StoreError::Conflict))));
            revision = won[0];
        }
    });
}

#[test]
fn watchers_hear_what_is_and_what_changes() {
    on_each(async |backend: Backend| {
        let records = &backend.store.records;
        records.put("w.old", b"1".to_vec(), Expect::Absent).await.unwrap();
        records.put("x.old", b"1".to_vec(), Expect::Absent).await.unwrap();
        let mut events = records.watch("w.").await.unwrap();
        let mut next = async || tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
        let WatchEvent::Change(change) = next().await else { panic!("the old record first") };
        assert_eq!((change.key.as_str(), change.value.map(|v| v.value)), ("w.old", Some(b"1".to_vec())));
        assert_eq!(next().await, WatchEvent::CaughtUp);
        let revision = records.put("w.new", b"2".to_vec(), Expect::Absent).await.unwrap();
        records.put("x.new", b"2".to_vec(), Expect::Absent).await.unwrap();
        let WatchEvent::Change(change) = next().await else { panic!("a change") };
        assert_eq!((change.key.as_str(), change.value.map(|v| v.revision)), ("w.new", Some(revision)));
        // Of changes in quick succession a watcher may hear the last one only.
        records.delete("w.new", revision).await.unwrap();
        let WatchEvent::Change(change) = next().await else { panic!("a change") };
        assert_eq!((change.key.as_str(), change.value), ("w.new", None));
    });
}

#[test]
fn an_empty_watch_catches_up() {
    on_each(async |backend: Backend| {
        let mut events = backend.store.records.watch("nothing.").await.unwrap();
        let first = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap();
        assert_eq!(first, Some(WatchEvent::CaughtUp));
    });
}

#[test]
fn blobs_are_kept_under_their_digest() {
    on_each(async |backend: Backend| {
        let blobs = &backend.store.blobs;
        let small = blobs.put(b"small".to_vec()).await.unwrap();
        assert_eq!(small, Digest::of(b"small"));
        assert_eq!(blobs.put(b"small".to_vec()).await, Ok(small));
        assert_eq!(blobs.get(&small).await, Ok(b"small".to_vec()));
        let large: Vec<u8> = (0..3_000_000u32).flat_map(|n| n.to_le_bytes().into_iter().take(1)).collect();
        let path = backend.directory.path().join("large");
        std::fs::write(&path, &large).unwrap();
        let digest = blobs.put_file(&path).await.unwrap();
        assert!(!path.exists(), "the file is consumed");
        assert_eq!(std::fs::read(blobs.file(&digest).await.unwrap()).unwrap(), large);
        assert_eq!(blobs.get(&digest).await, Ok(large));
        let listed: BTreeSet<Digest> = blobs.list().await.unwrap().into_iter().map(|(digest, _)| digest).collect();
        assert_eq!(listed, BTreeSet::from([small, digest]));
        assert_eq!(blobs.contains(&small).await, Ok(true));
        blobs.remove(&small).await.unwrap();
        blobs.remove(&small).await.unwrap();
        assert_eq!(blobs.contains(&small).await, Ok(false));
        assert_eq!(blobs.get(&small).await, Err(StoreError::Missing(small)));
        assert_eq!(blobs.file(&small).await, Err(StoreError::Missing(small)));
        let empty = blobs.put(Vec::new()).await.unwrap();
        assert_eq!(blobs.get(&empty).await, Ok(Vec::new()));
    });
}

async fn pull(store: &Store, max: usize) -> Vec<Box<dyn vinfer_service::store::Delivery>> {
    store.queue.pull(max, Duration::from_secs(2)).await.expect("work")
}

fn work(key: &str, priority: u8) -> Work {
    Work { key: key.to_owned(), priority }
}

#[test]
fn work_is_handed_out_by_priority_and_until_it_is_answered() {
    on_each(async |backend: Backend| {
        let store = &backend.store;
        assert_eq!(store.queue.depth().await, Ok(0));
        for (key, priority) in [("job.a.1", 5), ("job.a.2", 9), ("job.a.3", 5), ("job.a.4", 0)] {
            store.queue.push(work(key, priority)).await.unwrap();
        }
        let mut order = Vec::new();
        for _ in 0..4 {
            let taken = pull(store, 1).await;
            assert_eq!(taken.len(), 1);
            order.push(taken[0].work().key.clone());
            taken[0].ack().await.unwrap();
        }
        assert_eq!(order, ["job.a.2", "job.a.1", "job.a.3", "job.a.4"]);
        assert!(store.queue.pull(1, Duration::from_millis(50)).await.unwrap().is_empty());
        assert_eq!(store.queue.depth().await, Ok(0));
    });
}

#[test]
fn work_that_is_given_back_comes_again() {
    on_each(async |backend: Backend| {
        let store = &backend.store;
        store.queue.push(work("job.a.1", 5)).await.unwrap();
        let taken = pull(store, 4).await;
        assert_eq!(taken.len(), 1);
        taken[0].progress().await.unwrap();
        assert_eq!(store.queue.depth().await, Ok(1));
        taken[0].nak(Duration::from_millis(300)).await.unwrap();
        assert!(store.queue.pull(1, Duration::from_millis(50)).await.unwrap().is_empty(), "not before the delay");
        let again = pull(store, 1).await;
        assert_eq!(again[0].work().key, "job.a.1");
        again[0].nak(Duration::ZERO).await.unwrap();
        let again = pull(store, 1).await;
        again[0].ack().await.unwrap();
        assert_eq!(store.queue.depth().await, Ok(0));
    });
}

#[test]
fn a_waiting_puller_is_woken() {
    on_each(async |backend: Backend| {
        let store = backend.store.clone();
        let waiting = tokio::spawn(async move { store.queue.pull(1, Duration::from_secs(10)).await.map(|w| w.len()) });
        tokio::time::sleep(Duration::from_millis(100)).await;
        backend.store.queue.push(work("job.a.1", 5)).await.unwrap();
        let taken = tokio::time::timeout(Duration::from_secs(3), waiting).await.expect("it is woken").unwrap();
        assert_eq!(taken, Ok(1));
    });
}
