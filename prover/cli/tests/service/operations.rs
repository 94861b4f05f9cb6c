//! Broken: the settings, the disk under the service, the machine it ran on. What an operator does about it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::support::{Service, vinfer, wait};

fn check(arguments: &[&str]) -> (bool, String) {
    let output =
        vinfer().args(["serve", "--check", "--data", "unused"]).args(arguments).output().expect("serve --check");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn settings_are_checked_before_anything_is_served() {
    assert!(check(&[]).0);
    for (arguments, reason) in [
        (&["--http", "0.0.0.0:8080"][..], "without TLS"),
        (&["--http", "127.0.0.1:1", "--grpc", "127.0.0.1:1"], "different ports"),
        (&["--set", "colour=red"], "no setting"),
        (&["--set", "rate=fast"], "cannot be"),
        (&["--set", "rate=0"], "too small"),
        (&["--tls-cert", "a.pem"], "belong together"),
        (&["--config", "absent.toml"], "absent.toml"),
        (&["--provider", "a b"], "provider"),
    ] {
        let (sound, text) = check(arguments);
        assert!(!sound && text.contains(reason), "{arguments:?}: {text}");
    }
    assert!(check(&["--http", "0.0.0.0:8080", "--insecure"]).0);
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let service = Service::stopped(&[]);
    let file = service.file("vinfer.toml", b"http = \"127.0.0.1:1001\"\ngrpc = \"127.0.0.1:1002\"\n");
    let run = |environment: &[(&str, &str)], flags: &[&str]| {
        let mut command = vinfer();
        command.args(["serve", "--check", "--data", "unused", "--config"]).arg(&file).args(flags);
        command.envs(environment.iter().copied());
        String::from_utf8(command.output().expect("serve --check").stdout).expect("text")
    };
    assert!(run(&[], &[]).contains("http 127.0.0.1:1001, grpc 127.0.0.1:1002"));
    let environment = [("VINFER_HTTP", "127.0.0.1:2001")];
    assert!(run(&environment, &[]).contains("http 127.0.0.1:2001, grpc 127.0.0.1:1002"));
    assert!(run(&environment, &["--http", "127.0.0.1:3001"]).contains("http 127.0.0.1:3001, grpc 127.0.0.1:1002"));
}

#[test]
fn two_processes_do_not_share_one_directory() {
    let service = Service::start(&[]);
    let output = vinfer()
        .args(["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data"])
        .arg(service.data())
        .output()
        .expect("serve");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("open in another process"));
}

#[test]
fn a_copy_is_restored_on_another_machine() {
    let mut service = Service::start(&[]);
    let key = service.key("acme", "admin,infer");
    let client = service.client(&key);
    assert_eq!(client.post("/v1/models?name=digits", crate::support::MODEL).status, 201);
    client.wait_ready("digits");
    let done = client.infer(1, json!({ "proof": "wait" })).json();
    service.terminate();
    assert!(service.wait());
    let copy = service.data().join("copy");
    let run = |command: &[&str]| {
        let output = vinfer().args(command).output().expect("vinfer");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (from, to) = (service.data().to_str().expect("a path"), copy.to_str().expect("a path"));
    let bare = service.data().join("bare");
    let (good, said) = run(&["backup", "--data", from, "-o", bare.to_str().expect("a path")]);
    assert!(good && said.contains("without the log's secret key"), "{said}");
    assert!(!bare.join("log.key").exists());
    let secret = std::fs::read_to_string(service.data().join("log.key")).expect("the log's key");
    let records = std::fs::read_to_string(bare.join("records.jsonl")).expect("records");
    assert!(!records.contains("logkey.ed25519") && records.contains("logkey.public"), "{records}");
    let (good, said) = run(&["backup", "--data", from, "-o", to, "--with-keys"]);
    assert!(good, "{said}");
    assert_eq!(std::fs::read_to_string(copy.join("log.key")).expect("the log's key"), secret);
    assert!(!run(&["backup", "--data", from, "-o", to]).0, "a copy is not written over");

    let mut other = Service::stopped(&[]);
    let (good, said) = run(&["restore", to, "--data", other.data().to_str().expect("a path")]);
    assert!(good, "{said}");
    assert!(!run(&["restore", to, "--data", from]).0, "a storage is not written over");
    let (good, said) = run(&["doctor", "--data", other.data().to_str().expect("a path")]);
    assert!(good, "{said}");
    other.run();
    let client = other.client(&key);
    client.check_proof(done["parameters"]["statement"].as_str().expect("a statement"));
    let _ = client.wait_job(&client.order(2));
}

#[test]
fn a_copy_without_the_key_of_the_log_cannot_sign() {
    let mut service = Service::start(&[]);
    let client = service.with_model("acme");
    client.infer(1, json!({ "proof": "wait" }));
    let public = client.get("/v1/log/head").json()["public_key"].clone();
    service.terminate();
    assert!(service.wait());
    let mode = std::fs::metadata(service.data().join("log.key")).expect("the log's key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let run = |command: &str, arguments: &[&Path]| {
        let output = vinfer().args(command.split(' ')).args(arguments).output().expect("vinfer");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let copy = service.data().join("copy");
    let mut other = Service::stopped(&[]);
    let (good, said) = run("backup -o", &[&copy, Path::new("--data"), service.data()]);
    assert!(good, "{said}");
    let (good, said) = run("restore", &[&copy, Path::new("--data"), other.data()]);
    assert!(good && said.contains("put log.key back"), "{said}");
    // The whole log can be checked without the secret.
    let (good, said) = run("log verify --data", &[other.data()]);
    assert!(good && said.contains(public.as_str().expect("a key")), "{said}");
    let (good, said) = run("serve --http 127.0.0.1:0 --grpc 127.0.0.1:0 --data", &[other.data()]);
    assert!(!good && said.contains("log.key") && said.contains(public.as_str().expect("a key")), "{said}");
    // A lost key is replaced; heads of the old one still count.
    let (good, said) = run("log new-key --data", &[other.data()]);
    assert!(good, "{said}");
    let (good, said) = run("log verify --data", &[other.data()]);
    assert!(good, "{said}");
    other.run();
    let head = other.client(&other.key("acme", "infer")).get("/v1/log/head").json();
    assert_eq!(head["head"]["size"], 1);
    assert_ne!(head["public_key"], public);
}

#[test]
fn a_damaged_file_is_found_and_never_handed_out() {
    let mut service = Service::start(&[]);
    let client = service.with_model("acme");
    let done = client.infer(1, json!({ "proof": "wait" })).json();
    let id = done["parameters"]["proof_job_id"].as_str().expect("a job");
    let digest = client.get(&format!("/v1/jobs/{id}")).json()["proof_digest"].as_str().expect("a digest").to_owned();
    let path = service.data().join("blobs").join(&digest[..2]).join(&digest[2..]);
    let mut bytes = std::fs::read(&path).expect("the proof");
    bytes[1000] ^= 1;
    std::fs::write(&path, bytes).expect("write");
    let refused = client.get(&format!("/v1/jobs/{id}/proof"));
    assert_eq!((refused.status, &refused.json()["code"]), (500, &json!("internal")));
    assert!(refused.text().contains("damaged"), "{}", refused.text());
    service.terminate();
    assert!(service.wait());
    let doctor = vinfer().args(["doctor", "--data"]).arg(service.data()).output().expect("doctor");
    assert!(!doctor.status.success());
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("damaged"));
}

#[test]
fn numbers_are_told_without_names_of_tenants() {
    let service = Service::start(&[]);
    let client = service.with_model("acme-secret");
    client.infer(1, json!({ "proof": "wait" }));
    assert_eq!(service.stranger().get("/metrics").status, 401);
    assert_eq!(client.get("/metrics").status, 403);
    let operator = service.client(&service.key("house", "operator"));
    // A proof is counted once it is handed out.
    let text = wait("the proof is counted", || {
        let text = operator.get("/metrics").text();
        text.contains("vinfer_jobs_finished_total{state=\"done\"} 1").then_some(text)
    });
    for name in [
        "vinfer_http_requests_total",
        "vinfer_job_stage_seconds_bucket{stage=\"prove\"",
        "vinfer_jobs_finished_total{state=\"done\"} 1",
        "vinfer_process_resident_bytes",
        "vinfer_log_entries 1",
    ] {
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(!text.contains("acme-secret") && !text.contains("digits"), "{text}");
    let open = Service::start(&["--set", "open_metrics=true"]);
    assert!(open.stranger().get("/metrics").text().contains("vinfer_jobs_queued 0"));
    assert_eq!(service.stranger().get("/openapi.json").json()["openapi"], "3.1.0");
}
