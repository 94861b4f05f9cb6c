//! What has become of jobs lately: per minute for an hour, per hour for a day. By the wall clock, for people.

use std::collections::VecDeque;

use super::job::{Failure, FailureCause, Job, State};

const MINUTE_MS: u64 = 60_000;
const MINUTES: usize = 60;
const HOURS: usize = 24;
/// Jobs whose times are kept for the quantiles.
const TIMES: usize = 512;
/// Failures that are kept.
const FAILURES: usize = 10;

/// Jobs that reached their end within some time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ended {
    /// Proven.
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Seconds of proving.
    pub prove_seconds: f64,
    /// Bytes of proofs.
    pub proof_bytes: u64,
    /// Failures by cause, in the order of [`FailureCause::ALL`].
    causes: [u64; FailureCause::ALL.len()],
}

impl Ended {
    fn add(&mut self, job: &Job) {
        match job.state() {
            State::Done => self.done += 1,
            State::Failed => self.failed += 1,
            State::Cancelled => self.cancelled += 1,
            State::Queued | State::Proving => {}
        }
        if let Some(proved) = &job.proved {
            self.prove_seconds += proved.prove_seconds;
            self.proof_bytes = self.proof_bytes.saturating_add(proved.bytes);
        }
        if let Some(failure) = &job.failure {
            let causes = FailureCause::ALL.iter().zip(&mut self.causes);
            causes.filter(|(cause, _)| **cause == failure.cause).for_each(|(_, count)| *count += 1);
        }
    }

    fn and(mut self, other: &Self) -> Self {
        self.done += other.done;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.prove_seconds += other.prove_seconds;
        self.proof_bytes = self.proof_bytes.saturating_add(other.proof_bytes);
        self.causes.iter_mut().zip(other.causes).for_each(|(count, more)| *count += more);
        self
    }

    /// Failures by cause, those that occurred.
    pub fn causes(&self) -> impl Iterator<Item = (FailureCause, u64)> {
        FailureCause::ALL.into_iter().zip(self.causes).filter(|(_, count)| *count > 0)
    }
}

/// A ring of equal spans of time; the last one is the newest.
#[derive(Debug, Clone)]
struct Ring<const N: usize> {
    span_ms: u64,
    /// Number of the newest span since 1970.
    newest: u64,
    spans: VecDeque<Ended>,
}

impl<const N: usize> Ring<N> {
    fn new(span_ms: u64) -> Self {
        Self { span_ms, newest: 0, spans: std::iter::repeat_n(Ended::default(), N).collect() }
    }

    fn advance(&mut self, now_ms: u64) {
        let now = now_ms / self.span_ms;
        if now.saturating_add(1) < self.newest {
            // The clock was set back.
            self.newest = now;
        }
        let steps = now.saturating_sub(self.newest).min(N as u64);
        for _ in 0..steps {
            self.spans.pop_front();
            self.spans.push_back(Ended::default());
        }
        self.newest = self.newest.max(now);
    }

    fn add(&mut self, job: &Job, at_ms: u64) {
        let age = self.newest.saturating_sub(at_ms / self.span_ms);
        let at = usize::try_from(age).ok().and_then(|age| (N - 1).checked_sub(age));
        if let Some(span) = at.and_then(|at| self.spans.get_mut(at)) {
            span.add(job);
        }
    }

    fn sum(&self) -> Ended {
        self.spans.iter().fold(Ended::default(), Ended::and)
    }
}

/// A job that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its identifier.
    pub job: String,
    /// Its model.
    pub model: String,
    /// When it failed.
    pub at_ms: u64,
    /// Why.
    pub failure: Failure,
}

/// Jobs of one tenant, or of all, that reached their end lately.
#[derive(Debug, Clone)]
pub struct Activity {
    minutes: Ring<MINUTES>,
    hours: Ring<HOURS>,
    /// Milliseconds from acceptance to proof, newest last.
    times: VecDeque<u64>,
    failures: VecDeque<Failed>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            minutes: Ring::new(MINUTE_MS),
            hours: Ring::new(60 * MINUTE_MS),
            times: VecDeque::new(),
            failures: VecDeque::new(),
        }
    }
}

impl Activity {
    /// A job reached its end.
    pub(super) fn add(&mut self, job: &Job, now_ms: u64) {
        // What ended in the future, by another machine's clock, counts as ended now.
        let at = job.finished_ms.unwrap_or(now_ms);
        self.minutes.advance(now_ms);
        self.hours.advance(now_ms);
        self.minutes.add(job, at);
        self.hours.add(job, at);
        if job.state() == State::Done {
            keep(&mut self.times, TIMES, at.saturating_sub(job.created_ms));
        }
        if let Some(failure) = &job.failure {
            let failed = Failed { job: job.id.clone(), model: job.model.clone(), at_ms: at, failure: failure.clone() };
            keep(&mut self.failures, FAILURES, failed);
        }
    }

    /// As it is now: what lies further back has left.
    pub fn at(mut self, now_ms: u64) -> Self {
        self.minutes.advance(now_ms);
        self.hours.advance(now_ms);
        self
    }

    /// The last sixty minutes, oldest first, and when the first of them began.
    pub fn minutes(&self) -> (u64, impl Iterator<Item = &Ended>) {
        let first = self.minutes.newest.saturating_sub(MINUTES as u64 - 1);
        (first.saturating_mul(MINUTE_MS), self.minutes.spans.iter())
    }

    /// The last hour.
    pub fn hour(&self) -> Ended {
        self.minutes.sum()
    }

    /// The last day.
    pub fn day(&self) -> Ended {
        self.hours.sum()
    }

    /// Seconds from acceptance to proof that the given share of the last jobs did not exceed.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut times: Vec<u64> = self.times.iter().copied().collect();
        times.sort_unstable();
        let at = (share.clamp(0.0, 1.0) * times.len().checked_sub(1)? as f64).ceil() as usize;
        times.get(at).map(|&ms| ms as f64 / 1000.0)
    }

    /// The last failures, newest first.
    pub fn failures(&self) -> impl Iterator<Item = &Failed> {
        self.failures.iter().rev()
    }
}

fn keep<T>(kept: &mut VecDeque<T>, most: usize, value: T) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::jobs::{Delivered, EventKind, Execution, Payload, Proof, Proved};

    const NOW: u64 = 1_000 * 60 * MINUTE_MS;

    fn job(finished_ms: u64) -> Job {
        Job {
            id: "00".repeat(16),
            tenant: "acme".to_owned(),
            model_tenant: "acme".to_owned(),
            model: "digits".to_owned(),
            model_digest: Digest([0; 32]),
            statement: Digest([0; 32]),
            context: Digest([0; 32]),
            input: Payload::inline(&[]),
            execution: Execution::Done,
            proof: Proof::Done,
            delivery: Delivered::Ready,
            priority: 5,
            created_ms: finished_ms.saturating_sub(2_000),
            finished_ms: Some(finished_ms),
            deadline_ms: None,
            attempts: 1,
            lease: None,
            failure: None,
            proved: Some(Proved {
                digest: Digest([0; 32]),
                bytes: 10,
                security_bits: 100.0,
                prove_seconds: 0.5,
                verify_seconds: 0.1,
                log_index: 0,
            }),
            events: vec![crate::jobs::Event { id: 1, at_ms: finished_ms, kind: EventKind::Queued }],
        }
    }

    fn failed(finished_ms: u64, cause: FailureCause) -> Job {
        let failure = Failure { cause, message: "why".to_owned() };
        Job { proof: Proof::Failed, proved: None, failure: Some(failure), ..job(finished_ms) }
    }

    #[test]
    fn jobs_count_in_the_span_they_ended_in_and_leave_with_it() {
        let mut activity = Activity::default();
        activity.add(&job(NOW), NOW);
        activity.add(&job(NOW - 10 * MINUTE_MS), NOW);
        activity.add(&job(NOW - 90 * MINUTE_MS), NOW);
        activity.add(&job(NOW - 48 * 60 * MINUTE_MS), NOW);
        let now = activity.clone().at(NOW);
        assert_eq!((now.hour().done, now.day().done), (2, 3));
        let (first, minutes) = now.minutes();
        let done: Vec<u64> = minutes.map(|minute| minute.done).collect();
        assert_eq!((first, done.len(), done[59], done[49]), (NOW - 59 * MINUTE_MS, 60, 1, 1));
        let later = activity.at(NOW + 55 * MINUTE_MS);
        assert_eq!((later.hour().done, later.day().done), (1, 3));
        assert_eq!(later.at(NOW + 48 * 60 * MINUTE_MS).day(), Ended::default());
    }

    #[test]
    fn failures_are_told_with_their_causes() {
        let mut activity = Activity::default();
        for at in 0..15 {
            activity.add(&failed(NOW + at, FailureCause::Deadline), NOW + at);
        }
        activity.add(&failed(NOW + 20, FailureCause::Storage), NOW + 20);
        assert_eq!(activity.failures().count(), FAILURES);
        assert_eq!(activity.failures().next().map(|failed| failed.at_ms), Some(NOW + 20));
        let causes: Vec<_> = activity.day().causes().collect();
        assert_eq!(causes, [(FailureCause::Deadline, 15), (FailureCause::Storage, 1)]);
    }

    #[test]
    fn a_clock_that_jumps_breaks_nothing() {
        let mut activity = Activity::default();
        activity.add(&job(NOW), NOW);
        activity.add(&job(u64::MAX), 0);
        activity.add(&job(0), NOW);
        let _ = activity.at(0).day();
    }

    #[test]
    fn times_are_ranked() {
        let mut activity = Activity::default();
        assert_eq!(activity.quantile(0.5), None);
        for ms in 1..=100u64 {
            activity.add(&Job { created_ms: NOW - ms * 1000, ..job(NOW) }, NOW);
        }
        assert_eq!((activity.quantile(0.0), activity.quantile(1.0)), (Some(1.0), Some(100.0)));
        assert_eq!(activity.quantile(0.5), Some(51.0));
    }
}
