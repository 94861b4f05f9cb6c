//! Settings of the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::ServiceError;
use crate::ids::check_name;

/// Limits and durations of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// A lease ends when its worker is silent for so long.
    pub lease: Duration,
    /// Attempts before a job fails.
    pub max_attempts: u32,
    /// Jobs that may wait.
    pub max_queued: usize,
    /// Jobs of one tenant that may be unfinished.
    pub max_active_per_tenant: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self { lease: Duration::from_secs(10), max_attempts: 5, max_queued: 10_000, max_active_per_tenant: 5_000 }
    }
}

/// Limits of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Requests per second and tenant.
    pub rate: f64,
    /// Requests that a tenant may have saved up.
    pub burst: f64,
    /// Longest body but for uploads of models.
    pub max_body: usize,
    /// Longest model.
    pub max_model: u64,
    /// Longest time a request is held.
    pub request: Duration,
    /// Open connections per port.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: 2_000.0,
            burst: 4_000.0,
            max_body: 16 << 20,
            max_model: 1 << 30,
            request: Duration::from_secs(40),
            connections: 20_000,
        }
    }
}

/// How proofs are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proving {
    /// Proofs at the same time; 0: one per core.
    pub workers: usize,
    /// Memory for loaded keys and running proofs, in bytes; 0: four fifths of the machine's.
    pub memory: u64,
    /// How long a worker waits for more requests of the same model.
    pub batch_window: Duration,
    /// Most requests proven together.
    pub max_batch: usize,
    /// Memory of the process that compiles a model, in bytes.
    pub compile_memory: u64,
    /// Time of the process that compiles a model.
    pub compile_time: Duration,
}

impl Default for Proving {
    fn default() -> Self {
        Self {
            workers: 0,
            memory: 0,
            batch_window: Duration::from_millis(2),
            max_batch: 16,
            compile_memory: 8 << 30,
            compile_time: Duration::from_secs(600),
        }
    }
}

/// How proofs that somebody brings are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifying {
    /// Whether callers without a key may have proofs checked.
    pub open: bool,
    /// Memory of the process that checks one, in bytes.
    pub memory: u64,
    /// Processor time of that process.
    pub time: Duration,
}

impl Default for Verifying {
    fn default() -> Self {
        Self { open: true, memory: 2 << 30, time: Duration::from_secs(10) }
    }
}

/// Certificate and key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Everything `vinfer serve` is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Directory of the storage, or of caches where the storage is NATS.
    pub data: PathBuf,
    /// Address of HTTP.
    pub http: SocketAddr,
    /// Address of gRPC.
    pub grpc: SocketAddr,
    /// NATS server to share storage through.
    pub nats: Option<String>,
    /// TLS of both ports.
    pub tls: Option<Tls>,
    /// Serve other machines without TLS.
    pub insecure: bool,
    /// File with the secret key of the transparency log; `None`: in the data directory.
    pub log_key: Option<PathBuf>,
    /// Tenant whose models every tenant may use.
    pub provider: Option<String>,
    /// Whether this process proves; `None`: unless the storage is shared with workers.
    pub prove: Option<bool>,
    /// Copies that a NATS cluster keeps of everything.
    pub nats_replicas: usize,
    /// Program that compiles models and checks proofs: this program.
    pub program: PathBuf,
    /// Job rules.
    pub rules: Rules,
    /// Request limits.
    pub limits: Limits,
    /// Proving.
    pub proving: Proving,
    /// Checking of proofs that somebody brings.
    pub verifying: Verifying,
    /// Whether `/metrics` needs no key.
    pub open_metrics: bool,
    /// Log lines as JSON.
    pub log_json: bool,
    /// Finished jobs and their proofs are kept for so long.
    pub keep_jobs: Duration,
    /// Time to finish running requests and proofs after SIGTERM.
    pub drain: Duration,
}

impl Proving {
    /// Memory for loaded keys and running proofs, in bytes.
    pub fn memory_budget(&self) -> u64 {
        if self.memory > 0 { self.memory } else { machine_memory() / 5 * 4 }
    }

    /// Proofs at the same time.
    pub fn worker_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if self.workers > 0 { self.workers } else { cores }
    }
}

/// Memory of the machine, or of the control group where that is less, in bytes.
pub fn machine_memory() -> u64 {
    /// Where nothing else is known.
    const SOME: u64 = 4 << 30;
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.to_owned();
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    });
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    machine.unwrap_or(SOME).min(group.unwrap_or(u64::MAX))
}

impl Config {
    /// With the defaults for everything but the directory.
    pub fn new(data: PathBuf, program: PathBuf) -> Self {
        Self {
            data,
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            grpc: SocketAddr::from(([127, 0, 0, 1], 8081)),
            nats: None,
            tls: None,
            insecure: false,
            log_key: None,
            provider: None,
            prove: None,
            nats_replicas: 1,
            program,
            rules: Rules::default(),
            limits: Limits::default(),
            proving: Proving::default(),
            verifying: Verifying::default(),
            open_metrics: false,
            log_json: false,
            keep_jobs: Duration::from_secs(30 * 24 * 3600),
            drain: Duration::from_secs(30),
        }
    }

    /// File with the secret key of the transparency log.
    pub fn log_key(&self) -> PathBuf {
        self.log_key.clone().unwrap_or_else(|| self.data.join(crate::log::key_file::FILE))
    }

    /// Whether this process proves.
    pub fn proves(&self) -> bool {
        self.prove.unwrap_or(self.nats.is_none())
    }

    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// They do not; says which one and what to do.
    pub fn check(&self) -> Result<(), ServiceError> {
        let open =
            [("http", self.http), ("grpc", self.grpc)].into_iter().find(|(_, address)| !address.ip().is_loopback());
        if let Some((name, address)) = open
            && self.tls.is_none()
            && !self.insecure
        {
            return Err(ServiceError::invalid(format!(
                "{name} = {address} is open to other machines without TLS, so that API keys could be read on the way; \
                 give --tls-cert and --tls-key, listen on 127.0.0.1, or say --insecure where a proxy adds TLS"
            )));
        }
        if self.http == self.grpc && self.http.port() != 0 {
            return Err(ServiceError::invalid("http and grpc must listen on different ports"));
        }
        if let Some(provider) = &self.provider {
            check_name("provider", provider)?;
        }
        let positive = [
            ("rate", self.limits.rate > 0.0),
            ("burst", self.limits.burst >= 1.0),
            ("max_body", self.limits.max_body >= 1024),
            ("connections", self.limits.connections > 0),
            ("request_seconds", self.limits.request >= Duration::from_secs(1)),
            ("lease_seconds", self.rules.lease >= Duration::from_millis(300)),
            ("max_attempts", self.rules.max_attempts > 0),
            ("max_queued", self.rules.max_queued > 0),
            ("max_active_per_tenant", self.rules.max_active_per_tenant > 0),
            ("compile_memory_mib", self.proving.compile_memory >= 64 << 20),
            ("verify_memory_mib", self.verifying.memory >= 16 << 20),
            ("verify_seconds", self.verifying.time >= Duration::from_secs(1)),
            ("compile_seconds", self.proving.compile_time >= Duration::from_secs(1)),
        ];
        match positive.into_iter().find(|(_, sound)| !sound) {
            Some((name, _)) => Err(ServiceError::invalid(format!("{name} is too small"))),
            None => Ok(()),
        }
    }
}
