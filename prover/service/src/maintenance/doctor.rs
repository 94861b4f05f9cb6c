//! Looks for what will go wrong: settings, directory, storage, machine.

use std::os::unix::fs::PermissionsExt;

use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;

use crate::config::{Config, machine_memory};
use crate::ids::now_ms;
use crate::listen;
use crate::store::{Store, StoreError};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Good,
    /// It works, but not well.
    Warning,
    /// It does not work.
    Bad,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// How it is.
    pub health: Health,
    /// In words, with what to do.
    pub text: String,
}

/// Everything looked at, in order.
#[derive(Debug, Clone, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, what: &'static str, health: Health, text: impl Into<String>) {
        self.0.push(Finding { what, health, text: text.into() });
    }

    fn add_if(&mut self, what: &'static str, good: bool, otherwise: Health, text: impl Into<String>) {
        self.add(what, if good { Health::Good } else { otherwise }, text);
    }
}

/// Looks at everything.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Findings::default();
    match config.check() {
        Ok(()) => findings.add("settings", Health::Good, "they make sense together"),
        Err(error) => findings.add("settings", Health::Bad, error.message),
    }
    if let Some(tls) = &config.tls {
        match listen::acceptor(tls) {
            Ok(_) => findings.add("tls", Health::Good, "certificate and key fit"),
            Err(error) => findings.add("tls", Health::Bad, error.message),
        }
    }
    machine(config, &mut findings);
    directory(config, &mut findings);
    log_key(config, &mut findings);
    match crate::server::open_store(config).await {
        Ok(store) => storage(&store, &mut findings).await,
        Err(error) => findings.add("storage", Health::Bad, error.message),
    }
    findings.0
}

fn machine(config: &Config, findings: &mut Findings) {
    let (memory, budget) = (machine_memory(), config.proving.memory_budget());
    let mib = |bytes: u64| bytes >> 20;
    let text = format!("{} MiB for proofs of {} MiB in the machine", mib(budget), mib(memory));
    findings.add_if("memory", budget <= memory, Health::Warning, text);
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    let needed = config.limits.connections as u64 * 2 + 256;
    let text = format!(
        "{files} open files for up to {needed} connections and files{}",
        if files < needed { "; raise `ulimit -n` or lower `connections`" } else { "" }
    );
    findings.add_if("open files", files >= needed, Health::Warning, text);
    // 2025 began 1 735 689 600 s after 1970.
    findings.add_if("clock", now_ms() > 1_735_689_600_000, Health::Bad, "the wall clock is in this decade");
}

fn directory(config: &Config, findings: &mut Findings) {
    let probe = config.data.join("doctor.probe");
    let written = std::fs::create_dir_all(&config.data).and_then(|()| std::fs::write(&probe, [0u8; 4096]));
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) => findings.add("directory", Health::Good, format!("{} can be written", config.data.display())),
        Err(error) => findings.add("directory", Health::Bad, format!("{}: {error}", config.data.display())),
    }
    if let Ok(data) = std::fs::metadata(config.data.join("keys")) {
        let private = data.permissions().mode() & 0o077 == 0;
        let text =
            if private { "only their owner reads them" } else { "others can read the key files; chmod 700 keys" };
        findings.add_if("keys", private, Health::Warning, text);
    }
}

/// The secret key of the transparency log.
fn log_key(config: &Config, findings: &mut Findings) {
    let path = config.log_key();
    let shown = path.display();
    match std::fs::metadata(&path) {
        Ok(data) if data.permissions().mode() & 0o077 != 0 => {
            findings.add("log key", Health::Warning, format!("others can read {shown}; chmod 600 it"));
        }
        Ok(_) => findings.add("log key", Health::Good, format!("only its owner reads {shown}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !config.data.join("records.redb").exists() => {}
        Err(error) => findings.add("log key", Health::Warning, format!("{shown}: {error}")),
    }
}

async fn storage(store: &Store, findings: &mut Findings) {
    match store.records.list("model.", &crate::store::Page::default()).await {
        Ok(models) => findings.add("records", Health::Good, format!("readable, {} models", models.len())),
        Err(error) => findings.add("records", Health::Bad, error.to_string()),
    }
    let blobs = match store.blobs.list().await {
        Ok(blobs) => blobs,
        Err(error) => {
            findings.add("blobs", Health::Bad, error.to_string());
            return;
        }
    };
    let mut damaged = Vec::new();
    for (digest, _) in &blobs {
        match store.blobs.get(digest).await {
            Ok(_) | Err(StoreError::Missing(_)) => {}
            Err(error) => damaged.push(error.to_string()),
        }
    }
    if damaged.is_empty() {
        findings.add("blobs", Health::Good, format!("{} files have the digests of their names", blobs.len()));
    } else {
        findings.add("blobs", Health::Bad, damaged.join("; "));
    }
    match crate::log::offline::audit(store, None).await {
        Ok(audit) if audit.findings.is_empty() => {
            findings.add("log", Health::Good, format!("{} entries, {} signed heads", audit.leaves, audit.heads));
        }
        Ok(audit) => findings.add("log", Health::Bad, audit.findings.join("; ")),
        Err(error) => findings.add("log", Health::Bad, error.message),
    }
}
