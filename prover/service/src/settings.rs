//! Settings from a file, the environment and flags. A flag beats the environment, which beats the file, which beats the
//! default. In the file a setting is `name = value` (TOML), in the environment `VINFER_NAME`, as a flag `--name`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::config::{Config, Tls};
use crate::error::ServiceError;

/// Every setting with what it is.
pub const SETTINGS: &[(&str, &str)] = &[
    ("http", "address of HTTP, such as 127.0.0.1:8080"),
    ("grpc", "address of gRPC, such as 127.0.0.1:8081"),
    ("nats", "URL of a NATS server with JetStream, to share storage with other machines"),
    ("tls_cert", "PEM file with the certificate chain"),
    ("tls_key", "PEM file with the private key"),
    ("insecure", "serve other machines without TLS"),
    (
        "log_key",
        "file with the secret key of the transparency log, not log.key in the data directory; gateways share it",
    ),
    ("provider", "tenant whose models every tenant may use"),
    ("prove", "whether this process makes proofs; not by default where workers share a NATS server with it"),
    ("nats_replicas", "copies that a NATS cluster keeps of everything"),
    ("workers", "proofs at the same time; 0 is one per core"),
    ("memory_mib", "memory for keys and proofs; 0 is four fifths of the machine's"),
    ("batch_window_ms", "how long a worker waits for more requests of the same model"),
    ("max_batch", "most requests proven together"),
    ("compile_memory_mib", "memory of the process that compiles a model"),
    ("compile_seconds", "time of the process that compiles a model"),
    ("open_verify", "whether callers without a key may have proofs checked, slowly; so by default"),
    ("verify_memory_mib", "memory of the process that checks a proof for somebody"),
    ("verify_seconds", "processor time of that process"),
    ("rate", "requests per second and tenant"),
    ("burst", "requests that a tenant may have saved up"),
    ("max_body_mib", "longest body of a request"),
    ("max_model_mib", "longest model"),
    ("connections", "open connections per port"),
    ("request_seconds", "longest time a request is held"),
    ("lease_seconds", "a worker that is silent for so long loses its job"),
    ("max_attempts", "attempts before a job fails"),
    ("max_queued", "jobs that may wait"),
    ("max_active_per_tenant", "jobs of one tenant that may be unfinished"),
    ("keep_jobs_days", "finished jobs and their proofs are forgotten after so many days"),
    ("drain_seconds", "time to finish what runs after SIGTERM"),
    ("open_metrics", "whether /metrics needs no key; by default it needs one with scope operator"),
    ("log_json", "log lines as JSON"),
];

/// Values by name, as text.
pub type Values = BTreeMap<String, String>;

/// Settings of a TOML file.
///
/// # Errors
/// The file is not readable, or holds something that is no setting.
pub fn from_file(path: &Path) -> Result<Values, ServiceError> {
    let bad = |error: &dyn std::fmt::Display| ServiceError::invalid(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| bad(&error))?;
    let mut values = Values::new();
    for (name, value) in table {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(truth) => truth.to_string(),
            _ => return Err(bad(&format!("`{name}` must be a text, a number, true or false"))),
        };
        if !is_setting(&name) {
            return Err(bad(&unknown(&name)));
        }
        values.insert(name, value);
    }
    Ok(values)
}

/// Settings of the environment.
pub fn from_environment() -> Values {
    let value = |name: &str| std::env::var(format!("VINFER_{}", name.to_uppercase())).ok();
    SETTINGS.iter().filter_map(|(name, _)| value(name).map(|value| ((*name).to_owned(), value))).collect()
}

fn is_setting(name: &str) -> bool {
    SETTINGS.iter().any(|(setting, _)| *setting == name)
}

fn unknown(name: &str) -> String {
    let names: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
    format!("`{name}` is no setting; the settings are {}", names.join(", "))
}

fn parse<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, ServiceError> {
    value.trim().parse().map_err(|_| ServiceError::invalid(format!("setting {name} cannot be `{value}`")))
}

/// Applies settings to a configuration.
///
/// # Errors
/// A name is no setting, or a value is none that the setting has.
pub fn apply(config: &mut Config, values: &Values) -> Result<(), ServiceError> {
    for (name, value) in values {
        set(config, name, value)?;
    }
    config.tls = match (values.get("tls_cert"), values.get("tls_key")) {
        (Some(certificate), Some(key)) => Some(Tls { certificate: certificate.into(), key: key.into() }),
        (None, None) => None,
        _ => return Err(ServiceError::invalid("tls_cert and tls_key belong together")),
    };
    Ok(())
}

fn set(config: &mut Config, name: &str, value: &str) -> Result<(), ServiceError> {
    let seconds = |value: &str| -> Result<Duration, ServiceError> {
        let seconds: f64 = parse(name, value)?;
        Duration::try_from_secs_f64(seconds).map_err(|_| ServiceError::invalid(format!("setting {name} is no time")))
    };
    let mebibytes = |value: &str| -> Result<u64, ServiceError> {
        let number: u64 = parse(name, value)?;
        number.checked_mul(1 << 20).ok_or_else(|| ServiceError::invalid(format!("setting {name} is too large")))
    };
    let (rules, limits, proving) = (&mut config.rules, &mut config.limits, &mut config.proving);
    match name {
        "http" => config.http = parse(name, value)?,
        "grpc" => config.grpc = parse(name, value)?,
        "nats" => config.nats = Some(value.to_owned()),
        "tls_cert" | "tls_key" => {}
        "insecure" => config.insecure = parse(name, value)?,
        "log_key" => config.log_key = Some(value.into()),
        "provider" => config.provider = Some(value.to_owned()),
        "prove" => config.prove = Some(parse(name, value)?),
        "nats_replicas" => config.nats_replicas = parse(name, value)?,
        "workers" => proving.workers = parse(name, value)?,
        "memory_mib" => proving.memory = mebibytes(value)?,
        "batch_window_ms" => proving.batch_window = Duration::from_millis(parse(name, value)?),
        "max_batch" => proving.max_batch = parse(name, value)?,
        "compile_memory_mib" => proving.compile_memory = mebibytes(value)?,
        "compile_seconds" => proving.compile_time = seconds(value)?,
        "open_verify" => config.verifying.open = parse(name, value)?,
        "verify_memory_mib" => config.verifying.memory = mebibytes(value)?,
        "verify_seconds" => config.verifying.time = seconds(value)?,
        "rate" => limits.rate = parse(name, value)?,
        "burst" => limits.burst = parse(name, value)?,
        "max_body_mib" => {
            limits.max_body = usize::try_from(mebibytes(value)?)
                .map_err(|_| ServiceError::invalid(format!("setting {name} is too large")))?;
        }
        "max_model_mib" => limits.max_model = mebibytes(value)?,
        "request_seconds" => limits.request = seconds(value)?,
        "connections" => limits.connections = parse(name, value)?,
        "lease_seconds" => rules.lease = seconds(value)?,
        "max_attempts" => rules.max_attempts = parse(name, value)?,
        "max_queued" => rules.max_queued = parse(name, value)?,
        "max_active_per_tenant" => rules.max_active_per_tenant = parse(name, value)?,
        "keep_jobs_days" => config.keep_jobs = seconds(value)?.saturating_mul(24 * 3600),
        "drain_seconds" => config.drain = seconds(value)?,
        "open_metrics" => config.open_metrics = parse(name, value)?,
        "log_json" => config.log_json = parse(name, value)?,
        other => return Err(ServiceError::invalid(unknown(other))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_known_and_checked() {
        for (name, _) in SETTINGS {
            let mut config = Config::new("data".into(), "vinfer".into());
            let outcome = set(&mut config, name, "?");
            let free_text = ["nats", "log_key", "provider", "tls_cert", "tls_key"].contains(name);
            assert_eq!(outcome.is_ok(), free_text, "{name}");
        }
        assert!(set(&mut Config::new("data".into(), "vinfer".into()), "colour", "red").is_err());
    }

    #[test]
    fn later_values_win() {
        let mut values = Values::from([("http".to_owned(), "127.0.0.1:1".to_owned())]);
        values.extend(Values::from([("http".to_owned(), "127.0.0.1:2".to_owned())]));
        let mut config = Config::new("data".into(), "vinfer".into());
        apply(&mut config, &values).unwrap();
        assert_eq!(config.http.port(), 2);
    }
}
