//! Nothing is broken: the clients that people have, unmodified. The Python client of the Triton server, over HTTP and gRPC.

use std::process::Command;

use crate::support::Service;

/// Python with some modules, if there is one; `.ci/run` installs it.
pub(crate) fn python_with(modules: &str, packages: &str) -> Option<String> {
    let python = std::env::var("VINFER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: no Python with {packages}; `.ci/run` installs it");
    }
    found.then_some(python)
}

fn python() -> Option<String> {
    python_with("tritonclient.grpc, tritonclient.http", "tritonclient[grpc,http]")
}

#[test]
fn the_triton_client_runs_inference_and_gets_a_proof() {
    let Some(python) = python() else { return };
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

#[test]
fn the_python_example_gets_a_verified_answer() {
    let Some(python) = python() else { return };
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    // The publisher of the model hands out the key; here it is the test.
    let vk = service.file("vk.test", &client.get("/v1/models/digits/vk").body);
    let run = |pinned: &std::path::Path| {
        Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/python/verified_inference.py"))
            .args(["--url", &format!("http://{}", service.http()), "--model", "digits", "--vk"])
            .arg(pinned)
            .args(["--vinfer", env!("CARGO_BIN_EXE_vinfer")])
            .env("VINFER_API_KEY", service.key("acme", "infer"))
            .output()
            .expect("python runs")
    };
    let output = run(&vk);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("y = ") && said.contains("verified locally"), "{said}");
    // With a key that is not the model's nothing is verified.
    let mut other = std::fs::read(&vk).expect("key");
    let last = other.len() - 1;
    other[last] ^= 1;
    let refused = run(&service.file("vk.other", &other));
    assert!(!refused.status.success());
    assert!(!String::from_utf8_lossy(&refused.stdout).contains("verified locally"));
}
