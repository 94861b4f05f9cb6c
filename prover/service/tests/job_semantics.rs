//! What may happen to a job, on every storage.

mod common;

use std::time::Duration;

use common::{Backend, on_each};
use vinfer_service::config::Rules;
use vinfer_service::ids::Digest;
use vinfer_service::jobs::{
    Desk, EventKind, Failure, FailureCause, Finish, Job, LeaseError, Order, Proved, State, job_key, sweep,
};

fn order(tenant: &str, statement: &str) -> Order {
    Order {
        tenant: tenant.to_owned(),
        model_tenant: tenant.to_owned(),
        model: "m".to_owned(),
        model_digest: Digest::of(b"m"),
        statement: Digest::of(statement.as_bytes()),
        context: Digest([0; 32]),
        input: vec![1, 2, 3],
        priority: 5,
        deadline_ms: None,
    }
}

fn proved() -> Finish {
    let digest = Digest::of(b"proof");
    Finish::Proved(Proved {
        digest,
        bytes: 5,
        security_bits: 100.0,
        prove_seconds: 0.1,
        verify_seconds: 0.001,
        log_index: 0,
    })
}

fn failed(cause: FailureCause) -> Finish {
    Finish::Failed(Failure { cause, message: "for a test".to_owned() })
}

async fn desk(backend: &Backend) -> Desk {
    let rules = Rules { lease: Duration::from_millis(600), max_attempts: 3, ..Rules::default() };
    Desk::open(backend.store.clone(), rules).await.expect("a desk")
}

fn key(job: &Job) -> String {
    job_key(&job.tenant, &job.id)
}

/// The history must be numbered without gaps and end once.
fn check_history(job: &Job) {
    assert!(job.events.iter().zip(1..).all(|(event, id)| event.id == id), "{:?}", job.events);
    let ends =
        |kind: &EventKind| matches!(kind, EventKind::Done { .. } | EventKind::Failed { .. } | EventKind::Cancelled);
    let ended = job.events.iter().filter(|event| ends(&event.kind)).count();
    assert_eq!(ended, usize::from(job.state().is_final()), "{:?}", job.events);
}

#[test]
fn a_job_is_leased_once_and_finished_by_its_worker_alone() {
    on_each(async |backend: Backend| {
        let desk = desk(&backend).await;
        let job = desk.submit(order("a", "s")).await.unwrap();
        let (leased, ticket) = desk.acquire(&key(&job), "w1").await.unwrap();
        assert_eq!((leased.state(), leased.attempts), (State::Proving, 1));
        assert_eq!(desk.acquire(&key(&job), "w2").await.unwrap_err(), LeaseError::NotQueued);
        let mut forged = ticket.clone();
        forged.token = "0".repeat(32);
        assert_eq!(desk.finish(&forged, proved()).await.unwrap_err(), LeaseError::Stale);
        assert_eq!(desk.heartbeat(&forged).await.unwrap_err(), LeaseError::Stale);
        desk.heartbeat(&ticket).await.unwrap();
        let done = desk.finish(&ticket, proved()).await.unwrap();
        assert_eq!(done.state(), State::Done);
        check_history(&done);
        assert_eq!(desk.finish(&ticket, proved()).await.unwrap_err(), LeaseError::Stale);
        assert_eq!(desk.finish(&ticket, failed(FailureCause::Prover)).await.unwrap_err(), LeaseError::Stale);
        assert_eq!(desk.get("a", &job.id).await.unwrap(), done);
    });
}

#[test]
fn a_dead_workers_job_is_given_to_another_and_its_late_result_is_dropped() {
    on_each(async |backend: Backend| {
        let desk = desk(&backend).await;
        let job = desk.submit(order("a", "s")).await.unwrap();
        let (_, zombie) = desk.acquire(&key(&job), "w1").await.unwrap();
        // A heartbeat keeps the lease beyond its first end.
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            desk.heartbeat(&zombie).await.unwrap();
            sweep(&desk).await.unwrap();
        }
        assert_eq!(desk.get("a", &job.id).await.unwrap().state(), State::Proving);
        let expired = async {
            while sweep(&desk).await.unwrap().expired == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), expired).await.expect("the lease ends");
        let (_, ticket) = desk.acquire(&key(&job), "w2").await.unwrap();
        assert_eq!(desk.finish(&zombie, proved()).await.unwrap_err(), LeaseError::Stale);
        let done = desk.finish(&ticket, proved()).await.unwrap();
        assert_eq!((done.state(), done.attempts), (State::Done, 2));
        check_history(&done);
    });
}

#[test]
fn retryable_failures_are_tried_again_and_others_are_final() {
    on_each(async |backend: Backend| {
        let desk = desk(&backend).await;
        let job = desk.submit(order("a", "retry")).await.unwrap();
        for attempt in 1..=3 {
            let (_, ticket) = desk.acquire(&key(&job), "w").await.unwrap();
            let after = desk.finish(&ticket, failed(FailureCause::Storage)).await.unwrap();
            assert_eq!(after.state(), if attempt < 3 { State::Queued } else { State::Failed });
            check_history(&after);
        }
        let job = desk.submit(order("a", "fatal")).await.unwrap();
        let (_, ticket) = desk.acquire(&key(&job), "w").await.unwrap();
        let after = desk.finish(&ticket, failed(FailureCause::Rejected)).await.unwrap();
        assert_eq!(after.state(), State::Failed);
        // Wanted again, it is a new job.
        assert_ne!(desk.submit(order("a", "fatal")).await.unwrap().id, job.id);
    });
}

#[test]
fn cancelling_races_with_finishing_and_one_of_them_wins() {
    on_each(async |backend: Backend| {
        let desk = desk(&backend).await;
        for round in 0..12 {
            let job = desk.submit(order("a", &format!("s{round}"))).await.unwrap();
            let (_, ticket) = desk.acquire(&key(&job), "w").await.unwrap();
            let (cancelled, finished) = tokio::join!(desk.cancel("a", &job.id), desk.finish(&ticket, proved()));
            let end = desk.get("a", &job.id).await.unwrap();
            check_history(&end);
            match end.state() {
                State::Cancelled => {
                    assert!(cancelled.is_ok());
                    assert_eq!(finished.unwrap_err(), LeaseError::Stale);
                }
                State::Done => assert!(cancelled.is_err() && finished.is_ok()),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn submitters_of_one_statement_get_one_job() {
    on_each(async |backend: Backend| {
        let desk = desk(&backend).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let desk = desk.clone();
            tasks.spawn(async move { desk.submit(order("a", "s")).await.map(|job| job.id) });
        }
        let ids: Vec<String> = tasks.join_all().await.into_iter().map(Result::unwrap).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(desk.list("a", None, 100).await.unwrap().len(), 1);
        assert_eq!(desk.of_statement("a", &Digest::of(b"s")).await.unwrap().id, ids[0]);
        // Other tenants' jobs are their own.
        let other = desk.submit(order("b", "s")).await.unwrap();
        assert_ne!(other.id, ids[0]);
        assert!(desk.get("b", &ids[0]).await.is_err());
        assert!(desk.cancel("b", &ids[0]).await.is_err());
    });
}

#[test]
fn deadlines_end_waiting_and_running_jobs() {
    on_each(async |backend: Backend| {
        let desk = desk(&backend).await;
        let soon = Some(vinfer_service::ids::now_ms() + 150);
        let waiting = desk.submit(Order { deadline_ms: soon, ..order("a", "waiting") }).await.unwrap();
        let running = desk.submit(Order { deadline_ms: soon, ..order("a", "running") }).await.unwrap();
        let (_, ticket) = desk.acquire(&key(&running), "w").await.unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(sweep(&desk).await.unwrap().late, 2);
        for job in [waiting, running] {
            let job = desk.get("a", &job.id).await.unwrap();
            assert_eq!(job.failure.as_ref().map(|failure| failure.cause), Some(FailureCause::Deadline));
            check_history(&job);
        }
        assert_eq!(desk.finish(&ticket, proved()).await.unwrap_err(), LeaseError::Stale);
    });
}

#[test]
fn work_that_the_queue_lost_is_queued_again() {
    on_each(async |backend: Backend| {
        let desk = desk(&backend).await;
        let job = desk.submit(order("a", "s")).await.unwrap();
        let lost = backend.store.queue.pull(1, Duration::from_secs(2)).await.unwrap();
        lost[0].ack().await.unwrap();
        let found = async {
            while sweep(&desk).await.unwrap().queued_again == 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.expect("it is queued again");
        let taken = backend.store.queue.pull(1, Duration::from_secs(2)).await.unwrap();
        assert_eq!(taken[0].work().key, key(&job));
    });
}

#[test]
fn waiting_ends_when_the_job_does() {
    on_each(async |backend: Backend| {
        let desk = desk(&backend).await;
        let job = desk.submit(order("a", "s")).await.unwrap();
        let early = desk.wait("a", &job.id, Duration::from_millis(50)).await.unwrap();
        assert_eq!(early.state(), State::Queued);
        let waiting = {
            let (desk, id) = (desk.clone(), job.id.clone());
            tokio::spawn(async move { desk.wait("a", &id, Duration::from_secs(20)).await })
        };
        let (_, ticket) = desk.acquire(&key(&job), "w").await.unwrap();
        desk.finish(&ticket, proved()).await.unwrap();
        let job = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it ends").unwrap().unwrap();
        assert_eq!(job.state(), State::Done);
    });
}
