//! Broken: a worker, a gateway, the NATS server between them, each by `kill -9`. Every accepted job ends exactly once with a
//! proof that verifies.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::json;

use crate::nats_server::NatsServer;
use crate::support::{MODEL, Service, vinfer};

/// A worker process.
struct Worker(Child);

impl Worker {
    fn start(nats: &NatsServer) -> Self {
        let mut child = vinfer()
            .args(["--json", "worker", "--set", "lease_seconds=2", "--nats", &nats.url()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        assert!(line.contains("working"), "{line:?}");
        Self(child)
    }

    fn kill(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn gateway(nats: &NatsServer) -> Service {
    Service::start(&["--nats", &nats.url(), "--set", "lease_seconds=2"])
}

#[test]
fn gateways_and_workers_share_models_jobs_and_proofs() {
    let Some(nats) = NatsServer::start() else { return };
    let first = gateway(&nats);
    // Another gateway cannot sign the log before it has the key of the first.
    let stranger = tempfile::tempdir().expect("temporary directory");
    let refused = vinfer()
        .args(["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--nats", &nats.url(), "--data"])
        .arg(stranger.path())
        .output()
        .expect("serve");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("Copy the file from another gateway"), "{said}");
    let log_key = format!("log_key={}", first.data().join("log.key").display());
    let second = Service::start(&["--nats", &nats.url(), "--set", "lease_seconds=2", "--set", &log_key]);
    let _worker = Worker::start(&nats);
    // A key of the NATS server is known to every gateway; one of a directory to that gateway alone.
    let key = vinfer()
        .args(["keys", "create", "--tenant", "acme", "--scope", "admin,infer", "--nats", &nats.url()])
        .output()
        .expect("keys create");
    let key = String::from_utf8(key.stdout).expect("text").trim().to_owned();
    let (one, two) = (first.client(&key), second.client(&key));
    assert_eq!(one.post("/v1/models?name=digits", MODEL).status, 201);
    one.wait_ready("digits");
    two.wait_ready("digits");
    let id = one.order(1);
    let job = two.wait_job(&id);
    assert_eq!(job["state"], "done", "{job}");
    two.check_proof(job["statement"].as_str().expect("a statement"));
    assert_eq!(two.order(1), id, "proven once, whoever asks");
    let waited = two.infer(2, json!({ "proof": "wait" })).json();
    assert_eq!(waited["parameters"]["proof_state"], "done", "{waited}");
    let events = one.get(&format!("/v1/jobs/{id}/events")).text();
    assert!(events.contains("event: done"), "{events}");
    let local = second.key("local", "infer");
    assert_eq!(second.client(&local).get("/v1/jobs").status, 200);
    assert_eq!(first.client(&local).get("/v1/jobs").status, 401);
    // Gateways know one another's entries in the transparency log.
    let sizes = [&one, &two].map(|client| client.get("/v1/log/head").json()["head"]["size"].clone());
    assert_eq!(sizes[0], sizes[1]);
}

#[test]
fn a_server_that_wants_a_password_gets_the_one_of_the_url() {
    let Some(nats) = NatsServer::start_for(Some(("vinfer", "sesame"))) else { return };
    let keys = |url: &str| {
        let output =
            vinfer().args(["keys", "create", "--tenant", "acme", "--nats", url]).output().expect("keys create");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(keys(&nats.url()).0, "{}", keys(&nats.url()).1);
    let (good, said) = keys(&nats.url().replace("sesame", "open"));
    assert!(!good && said.contains("authorization") && !said.contains("open"), "{said}");
    let service = gateway(&nats);
    let _worker = Worker::start(&nats);
    let client = service.with_model("acme");
    assert_eq!(client.wait_job(&client.order(1))["state"], "done");
}

#[test]
fn killed_workers_gateways_and_servers_lose_nothing() {
    let Some(mut nats) = NatsServer::start() else { return };
    let mut service = gateway(&nats);
    let key = service.key("acme", "admin,infer");
    let client = service.client(&key);
    assert_eq!(client.post("/v1/models?name=digits", MODEL).status, 201);
    client.wait_ready("digits");
    let mut ids = Vec::new();
    let mut order = |service: &Service, seeds: std::ops::Range<u64>| {
        let client = service.client(&key);
        ids.extend(seeds.map(|seed| client.order(seed)));
    };
    let mut worker = Worker::start(&nats);
    order(&service, 0..20);
    worker.kill();
    order(&service, 20..25);
    let mut worker = Worker::start(&nats);
    std::thread::sleep(std::time::Duration::from_millis(100));
    service.kill();
    service.run();
    order(&service, 25..40);
    nats.restart();
    std::thread::sleep(std::time::Duration::from_millis(300));
    worker.kill();
    let _worker = Worker::start(&nats);
    let client = service.client(&key);
    for (at, id) in ids.iter().enumerate() {
        let job = client.wait_job(id);
        assert_eq!(job["state"], "done", "{job}");
        if at % 8 == 0 {
            client.check_proof(job["statement"].as_str().expect("a statement"));
        }
    }
}
