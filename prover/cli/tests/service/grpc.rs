//! Nothing is broken: `vinfer.v1`, health and reflection over gRPC as a client without generated code sees them, with and without
//! TLS; requests that are sent twice; TLS that nobody vouches for.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vinfer_verifier::Expected;

use crate::clients::python_with;
use crate::remote::self_signed;
use crate::support::{MODEL, Service};

fn python() -> Option<String> {
    python_with("grpc, grpc_reflection", "grpcio-reflection")
}

fn run(python: &str, service: &Service, model: &Path, certificate: &str) -> std::process::Output {
    let key = service.key("acme", "admin,infer");
    Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/grpc_services.py"))
        .args([&service.grpc().to_string(), &key])
        .arg(model)
        .arg(certificate)
        .output()
        .expect("python runs")
}

/// The proof that the client downloaded is accepted.
fn check(output: &std::process::Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let bytes = |name: &str| hex::decode(said[name].as_str().expect("a text")).expect("hexadecimal");
    let verified = vinfer_verifier::verify(&bytes("vk"), &bytes("proof"), &Expected::default()).expect("accepted");
    assert_eq!(hex::encode(verified.statement), said["statement"].as_str().expect("a statement"));
}

#[test]
fn every_service_is_found_by_reflection_and_does_things_once() {
    let Some(python) = python() else { return };
    let service = Service::start(&[]);
    let model = service.file("model.test", MODEL);
    check(&run(&python, &service, &model, "-"));
}

#[test]
fn both_protocols_are_served_over_tls() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("temporary directory");
    let (certificate, key): (PathBuf, PathBuf) = self_signed(directory.path());
    let text = |path: &Path| path.to_str().expect("a path").to_owned();
    let service = Service::start(&["--tls-cert", &text(&certificate), "--tls-key", &text(&key)]);
    let model = service.file("model.test", MODEL);
    check(&run(&python, &service, &model, &text(&certificate)));
    // In the clear, or trusting somebody else, there is no connection.
    assert!(!run(&python, &service, &model, "-").status.success());
    let other = tempfile::tempdir().expect("temporary directory");
    let (stranger, _) = self_signed(other.path());
    let refused = run(&python, &service, &model, &text(&stranger));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("UNAVAILABLE"), "{said}");
}
