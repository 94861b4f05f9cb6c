//! Nothing is broken: the clients that people have, unmodified. The Python client of the Triton server, over HTTP and gRPC.

use std::process::Command;

use crate::support::Service;

/// Python with `tritonclient[grpc,http]`, if there is one; `.ci/run` installs it.
fn python() -> Option<String> {
    let python = std::env::var("VINFER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import tritonclient.grpc, tritonclient.http"]).output();
    found.is_ok_and(|output| output.status.success()).then_some(python)
}

#[test]
fn the_triton_client_runs_inference_and_gets_a_proof() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with tritonclient[grpc,http]; `.ci/run` installs it");
        return;
    };
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let key = service.key("acme", "infer");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/triton_client.py");
    let output = Command::new(python)
        .arg(script)
        .args([service.http().to_string(), service.grpc().to_string(), key])
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    client.check_proof(String::from_utf8_lossy(&output.stdout).trim());
}
