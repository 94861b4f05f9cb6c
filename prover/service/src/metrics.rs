//! Numbers for Prometheus.

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::error::ServiceError;
use crate::jobs::{Counts, FailureCause, Job, State};

/// Seconds from half a millisecond to ten minutes.
const BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 180.0, 600.0];

/// Stages of a job whose times are told.
const STAGES: [&str; 4] = ["prove", "verify", "wait", "total"];

/// All numbers of a process.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    infer_seconds: Histogram,
    jobs: IntCounterVec,
    failures: IntCounterVec,
    stage_seconds: HistogramVec,
    queued: IntGauge,
    proving: IntGauge,
    resident: IntGauge,
    proof_memory: IntGauge,
    log_size: IntGauge,
    cpu_seconds: prometheus::Gauge,
}

fn broken(error: prometheus::Error) -> ServiceError {
    ServiceError::internal(format!("metrics: {error}"))
}

fn histogram(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(BUCKETS.to_vec())
}

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    /// A name is taken, which is a defect.
    pub fn new() -> Result<Self, ServiceError> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).map_err(broken);
        let counter =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels).map_err(broken);
        let histograms =
            |name: &str, help: &str, labels: &[&str]| HistogramVec::new(histogram(name, help), labels).map_err(broken);
        let metrics = Self {
            requests: counter("vinfer_http_requests_total", "HTTP requests", &["route", "method", "status"])?,
            request_seconds: histograms("vinfer_http_request_seconds", "Time to answer an HTTP request", &["route"])?,
            infer_seconds: Histogram::with_opts(histogram("vinfer_execution_seconds", "Time to run a model"))
                .map_err(broken)?,
            jobs: counter("vinfer_jobs_finished_total", "Jobs finished by this process", &["state"])?,
            failures: counter("vinfer_job_failures_total", "Failed attempts and jobs by cause", &["cause"])?,
            stage_seconds: histograms("vinfer_job_stage_seconds", "Time of a job's stages", &["stage"])?,
            queued: gauge("vinfer_jobs_queued", "Jobs waiting for a worker")?,
            proving: gauge("vinfer_jobs_proving", "Jobs being proven")?,
            resident: gauge("vinfer_process_resident_bytes", "Resident memory of the process")?,
            proof_memory: gauge("vinfer_proof_memory_bytes", "Memory set aside for running proofs")?,
            log_size: gauge("vinfer_log_entries", "Entries of the transparency log")?,
            cpu_seconds: prometheus::Gauge::new("vinfer_process_cpu_seconds", "Processor time of the process")
                .map_err(broken)?,
            registry,
        };
        let all: [Box<dyn prometheus::core::Collector>; 12] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.request_seconds.clone()),
            Box::new(metrics.infer_seconds.clone()),
            Box::new(metrics.jobs.clone()),
            Box::new(metrics.failures.clone()),
            Box::new(metrics.stage_seconds.clone()),
            Box::new(metrics.queued.clone()),
            Box::new(metrics.proving.clone()),
            Box::new(metrics.resident.clone()),
            Box::new(metrics.proof_memory.clone()),
            Box::new(metrics.log_size.clone()),
            Box::new(metrics.cpu_seconds.clone()),
        ];
        for one in all {
            metrics.registry.register(one).map_err(broken)?;
        }
        // From zero on, so that the first one counts as an increase.
        for state in [State::Done, State::Failed, State::Cancelled] {
            let _ = metrics.jobs.with_label_values(&[state.name()]);
        }
        for cause in FailureCause::ALL {
            let _ = metrics.failures.with_label_values(&[cause.name()]);
        }
        for stage in STAGES {
            let _ = metrics.stage_seconds.with_label_values(&[stage]);
        }
        Ok(metrics)
    }

    /// A request was answered.
    pub fn request(&self, route: &str, method: &str, status: u16, seconds: f64) {
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.request_seconds.with_label_values(&[route]).observe(seconds);
    }

    /// A model was run.
    pub fn executed(&self, seconds: f64) {
        self.infer_seconds.observe(seconds);
    }

    /// An attempt failed.
    pub fn failed(&self, cause: &str) {
        self.failures.with_label_values(&[cause]).inc();
    }

    /// A job reached its end here.
    pub fn finished(&self, job: &Job) {
        if !job.state().is_final() {
            return;
        }
        self.jobs.with_label_values(&[job.state().name()]).inc();
        let Some(proved) = job.proved.as_ref().filter(|_| job.state() == State::Done) else { return };
        let total = job.finished_ms.unwrap_or(job.created_ms).saturating_sub(job.created_ms) as f64 / 1000.0;
        let working = proved.prove_seconds + proved.verify_seconds;
        let seconds = [proved.prove_seconds, proved.verify_seconds, (total - working).max(0.0), total];
        for (stage, seconds) in STAGES.into_iter().zip(seconds) {
            self.stage_seconds.with_label_values(&[stage]).observe(seconds);
        }
    }

    /// Everything as Prometheus reads it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn text(&self, jobs: Counts, proof_memory: u64, log_entries: u64) -> Result<Vec<u8>, ServiceError> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.queued.set(number(jobs.queued as u64));
        self.proving.set(number(jobs.proving as u64));
        self.proof_memory.set(number(proof_memory));
        self.log_size.set(number(log_entries));
        self.resident.set(number(resident_bytes()));
        self.cpu_seconds.set(cpu_seconds());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(broken)?;
        Ok(text)
    }
}

/// Resident memory of this process.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024)
}

/// Processor time of this process.
fn cpu_seconds() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()))
}
