//! Broken: the server's honesty, and the way to it. `vinfer remote` believes nothing that it cannot check, and repeats what got
//! lost without doing it twice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::liar::Liar;
use crate::support::{MODEL, Service, vinfer};

/// A user of a service: a key, a directory, an address.
struct User {
    url: String,
    key: String,
    directory: TempDir,
}

impl User {
    fn new(url: String, key: String) -> Self {
        Self { url, key, directory: tempfile::tempdir().expect("temporary directory") }
    }

    fn of(service: &Service) -> Self {
        Self::new(format!("http://{}", service.http()), service.key("acme", "admin,infer"))
    }

    /// The same user at another address.
    fn at(&self, url: String) -> Self {
        Self::new(url, self.key.clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("write");
        path
    }

    /// Pixels as a file of one sample.
    fn input(&self, seed: u64) -> PathBuf {
        let pixel = |at: u64| ((seed * 31 + at * 7) % 17) as f64 / 16.0;
        let rows: Vec<Vec<f64>> = (0..8).map(|row| (0..8).map(|column| pixel(8 * row + column)).collect()).collect();
        self.file(&format!("input{seed}.json"), json!({ "x": [[rows]] }).to_string().as_bytes())
    }

    fn command(&self) -> Command {
        let mut command = vinfer();
        command.args(["--json", "remote"]).env("VINFER_URL", &self.url).env("VINFER_API_KEY", &self.key);
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        outcome(self.command().args(arguments))
    }

    fn good(&self, arguments: &[&str]) -> Value {
        let (code, said) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    /// Demands a failure with this code; the message.
    fn bad(&self, arguments: &[&str], exit: i32, code: &str) -> String {
        let (status, said) = self.run(arguments);
        assert_eq!((status, said["error"]["code"].as_str()), (Some(exit), Some(code)), "{arguments:?}: {said}");
        said["error"]["message"].as_str().expect("a message").to_owned()
    }
}

fn outcome(command: &mut Command) -> (Option<i32>, Value) {
    let output = command.output().expect("vinfer remote");
    let said = serde_json::from_slice(&output.stdout);
    let said = said.unwrap_or_else(|_| panic!("JSON: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), said)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// A user whose model is ready and whose verifying key is pinned.
fn prepared(service: &Service) -> (User, PathBuf) {
    let user = User::of(service);
    let model = user.file("model.onnx", MODEL);
    let uploaded = user.good(&["upload", text(&model), "--name", "digits"]);
    assert_eq!(uploaded["state"], "ready", "{uploaded}");
    // The publisher makes the key from the model; the server's is the same.
    let (program, keys, vk) = (user.path("program"), user.path("keys"), user.path("vk"));
    for arguments in [["compile", text(&model), "-o", text(&program)], ["setup", text(&program), "-o", text(&keys)]] {
        assert!(vinfer().args(arguments).output().expect("vinfer").status.success());
    }
    let digest = blake3::hash(&std::fs::read(keys.join("vk")).expect("key")).to_hex().to_string();
    user.good(&["vk", "digits", "--digest", &digest, "-o", text(&vk)]);
    (user, vk)
}

#[test]
fn outputs_are_verified_here_and_every_lie_is_found() {
    let service = Service::start(&[]);
    let (user, vk) = prepared(&service);
    let (input, out, proof) = (user.input(1), user.path("out.npz"), user.path("one.proof"));
    let infer = ["infer", "digits", "--input", text(&input), "--verify", "--vk", text(&vk)];
    let with = |more: &[&'static str]| -> Vec<String> { infer.iter().chain(more).map(|s| (*s).to_owned()).collect() };
    let said = user.good(&[&infer[..], &["--prove", "-o", text(&out), "--proof", text(&proof)]].concat());
    assert_eq!(
        (&said["verified"], said["outputs"]["y"][0].as_array().map(Vec::len)),
        (&json!(true), Some(10)),
        "{said}"
    );
    // What it wrote is what the other commands take.
    user.good(&["verify", "--vk", text(&vk), "--proof", text(&proof), "--input", text(&input), "--output", text(&out)]);
    let other_input = user.input(2);
    user.bad(&["verify", "--vk", text(&vk), "--proof", text(&proof), "--input", text(&other_input)], 1, "rejected");

    let liar = Liar::before(&service);
    let deceived = user.at(liar.url());
    let lied = |more: &[&'static str], code: &str| {
        let arguments = with(more);
        deceived.bad(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 1, code)
    };
    assert_eq!(deceived.good(&infer)["verified"], true, "a proxy that changes nothing changes nothing");
    // Other outputs than the model's.
    liar.tell(|path, answer| {
        if path.ends_with("/infer") {
            *answer.body.last_mut().expect("a body") ^= 1;
        }
    });
    assert!(lied(&[], "other_output").contains("`y` element 9"));
    let never = deceived.path("never.npz");
    deceived.bad(&[&infer[..], &["-o", text(&never)]].concat(), 1, "other_output");
    assert!(!never.exists(), "outputs that are not proven are not written");
    // A proof with one bit changed, everywhere.
    for at in [0, 40, 200, 4000, 60_000] {
        liar.tell(move |path, answer| {
            if path.starts_with("/v1/proofs/") {
                answer.body[at] ^= 1;
            }
        });
        let arguments = with(&[]);
        let (code, said) = deceived.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let found = said["error"]["code"].as_str().expect("a code").to_owned();
        assert_eq!(code, Some(1), "{at}: {said}");
        assert!(["wrong_key", "proof", "rejected", "other_input", "other_context"].contains(&found.as_str()), "{said}");
    }
    // An old proof, of other inputs.
    let old = user.good(&["infer", "digits", "--input", text(&other_input), "--verify", "--vk", text(&vk)]);
    let old = old["statement"].as_str().expect("a statement").to_owned();
    let replayed = old.clone();
    liar.take(
        move |path| {
            if path.starts_with("/v1/proofs/") { format!("/v1/proofs/{replayed}") } else { path.to_owned() }
        },
    );
    assert!(lied(&[], "other_input").contains("other inputs than those that were sent"));
    // An old proof of the same inputs is still true; the client that wants a new one says so.
    let same = said["statement"].as_str().expect("a statement").to_owned();
    let replayed = same.clone();
    liar.take(
        move |path| {
            if path.starts_with("/v1/proofs/") { format!("/v1/proofs/{replayed}") } else { path.to_owned() }
        },
    );
    assert_eq!(deceived.good(&infer)["verified"], true);
    assert!(lied(&["--fresh"], "other_context").contains("old proof"));
    // Another statement than the one proven.
    let (named, honest) = (old, same.clone());
    liar.tell(move |path, answer| {
        if path.ends_with("/infer") {
            let from = honest.as_bytes();
            let at = answer.body.windows(from.len()).position(|part| part == from).expect("the statement");
            answer.body[at..at + from.len()].copy_from_slice(named.as_bytes());
        }
    });
    lied(&[], "other_input");
    // Outputs of another form.
    liar.tell(|path, answer| {
        if path.ends_with("/infer") {
            let at = answer.body.windows(4).position(|part| part == b"\"y\",").expect("the output");
            answer.body[at + 1] = b'z';
        }
    });
    lied(&[], "output_form");
    // Another key of the same model name.
    liar.tell(|path, answer| {
        if path.ends_with("/vk") {
            let last = answer.body.len() - 1;
            answer.body[last] ^= 1;
        }
    });
    let digest = blake3::hash(&std::fs::read(&vk).expect("key")).to_hex().to_string();
    let swapped = deceived.path("swapped");
    assert!(
        deceived.bad(&["vk", "digits", "--digest", &digest, "-o", text(&swapped)], 1, "other_key").contains(&digest)
    );
    assert!(!swapped.exists());
}

#[test]
fn another_model_under_the_same_name_is_found() {
    let service = Service::start(&[]);
    let (user, vk) = prepared(&service);
    // The same network with one weight changed: this byte lies in the weights of the second convolution.
    const WEIGHT: usize = 4200;
    let mut other = MODEL.to_vec();
    other[WEIGHT] ^= 1;
    let model = user.file("other.onnx", &other);
    assert_eq!(user.good(&["upload", text(&model), "--name", "other"])["state"], "ready");
    let liar = Liar::before(&service);
    liar.take(|path| path.replace("/v2/models/digits/", "/v2/models/other/"));
    let deceived = user.at(liar.url());
    let input = deceived.input(1);
    let said =
        deceived.bad(&["infer", "digits", "--input", text(&input), "--verify", "--vk", text(&vk)], 1, "wrong_key");
    assert!(said.contains("the server ran another model"), "{said}");
    // Without a pinned key nothing is claimed to be verified.
    assert_eq!(deceived.good(&["infer", "digits", "--input", text(&input), "--prove"])["verified"], false);
    assert_eq!(deceived.run(&["infer", "digits", "--input", text(&input), "--verify"]).0, Some(2));
}

#[test]
fn the_log_is_demanded_and_may_not_forget() {
    let service = Service::start(&[]);
    let (user, vk) = prepared(&service);
    let head = service.client(&user.key).get("/v1/log/head").json();
    let key = head["public_key"].as_str().expect("a key").to_owned();
    let state = user.path("state.json");
    let arguments = |user: &User, seed: u64, key: &str| -> Vec<String> {
        let input = user.input(seed);
        [
            "infer",
            "digits",
            "--input",
            text(&input),
            "--verify",
            "--vk",
            text(&vk),
            "--log-key",
            key,
            "--log-state",
            text(&state),
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let good =
        |user: &User, seed: u64| user.good(&arguments(user, seed, &key).iter().map(String::as_str).collect::<Vec<_>>());
    let bad = |user: &User, seed: u64, key: &str, code: &str| {
        user.bad(&arguments(user, seed, key).iter().map(String::as_str).collect::<Vec<_>>(), 1, code)
    };
    for seed in 1..4u64 {
        assert_eq!(good(&user, seed)["log"]["head"]["size"], json!(seed));
    }
    bad(&user, 1, &"0".repeat(64), "log");
    // The entry and the proof as files, checked without the service.
    let (proof, entry) = (user.path("p"), user.path("e.json"));
    let job = user.good(&["infer", "digits", "--input", text(&user.input(9)), "--prove"])["job"].clone();
    let job = job.as_str().expect("a job");
    assert_eq!(user.good(&["wait", job])["state"], "done");
    user.good(&["proof", "--job", job, "-o", text(&proof), "--entry", text(&entry)]);
    let nobody = user.at("http://127.0.0.1:9".to_owned());
    let check = ["verify", "--vk", text(&vk), "--proof", text(&proof), "--entry", text(&entry), "--log-key"];
    assert_eq!(nobody.good(&[&check[..], &[&key]].concat())["log"]["index"], 3);
    nobody.bad(&[&check[..], &[&"0".repeat(64)]].concat(), 1, "log");

    let liar = Liar::before(&service);
    let deceived = user.at(liar.url());
    let change = |pointer: &'static str, value: Value| {
        liar.tell(move |path, answer| {
            if path.starts_with("/v1/log/entries/") {
                let mut changed = answer.json();
                *changed.pointer_mut(pointer).expect("a place") = value.clone();
                answer.body = changed.to_string().into_bytes();
            }
        });
    };
    for (pointer, value) in
        [("/head/size", json!(9)), ("/path/0", json!("0".repeat(64))), ("/consistency", Value::Null)]
    {
        change(pointer, value);
        bad(&deceived, 1, &key, "log");
    }
    // The entry of another proof, which is in the log.
    let other = good(&user, 2)["statement"].as_str().expect("a statement").to_owned();
    liar.take(move |path| match path.split_once('?') {
        Some((path, since)) if path.starts_with("/v1/log/entries/") => format!("/v1/log/entries/{other}?{since}"),
        _ => path.to_owned(),
    });
    assert!(bad(&deceived, 1, &key, "other_entry").contains("another statement"));
    // A service that begins its log anew under the same key does not continue the old one: here, an older head.
    let saved = std::fs::read(&state).expect("state");
    liar.tell(|path, answer| {
        if path.starts_with("/v1/log/entries/") {
            let mut changed = answer.json();
            changed["consistency"] = json!([]);
            answer.body = changed.to_string().into_bytes();
        }
    });
    good(&user, 5);
    std::fs::write(&state, saved).expect("write");
    assert!(bad(&deceived, 1, &key, "log").contains("does not continue"));
}

#[test]
fn what_got_lost_is_sent_again_and_done_once() {
    let service = Service::start(&[]);
    let (user, vk) = prepared(&service);
    let liar = Liar::before(&service);
    let lossy = user.at(liar.url());
    // The first answer to every kind of request is replaced by a proxy's refusal, after the server did the work.
    let seen = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    liar.tell(move |path, answer| {
        let kind: String = path.split(['?', '=']).next().unwrap_or_default().chars().take(16).collect();
        if seen.lock().expect("no panic").insert(kind) {
            answer.status = 503;
            answer.head = "HTTP/1.1 503\r\nretry-after: 1".to_owned();
            answer.body = b"upstream gone".to_vec();
        }
    });
    let input = lossy.input(3);
    let before = service.client(&user.key).get("/v1/jobs").json()["jobs"].as_array().map_or(0, Vec::len);
    let said = lossy.good(&["infer", "digits", "--input", text(&input), "--verify", "--vk", text(&vk)]);
    assert_eq!(said["verified"], true);
    let after = service.client(&user.key).get("/v1/jobs").json()["jobs"].as_array().map_or(0, Vec::len);
    assert_eq!(after, before + 1);
    // An upload whose pieces get lost: 40 MB in pieces, refused by the compiler in the end, arrives whole.
    let big: Vec<u8> = (0..20_000_000u32).map(|at| (at % 251) as u8).collect();
    let file = lossy.file("big.onnx", &big);
    let lost = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&lost);
    liar.tell(move |path, answer| {
        if path.contains("?offset=") && count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            answer.status = 502;
            answer.body = Vec::new();
        }
    });
    let said = lossy.good(&["upload", text(&file), "--name", "big", "--no-wait"]);
    assert_eq!(said["digest"], blake3::hash(&big).to_hex().to_string());
    assert!(lost.load(Ordering::Relaxed) >= 3);
    // A server that says when to come back is not asked before; one that asks for too long is not waited for.
    liar.tell(|path, answer| {
        if path == "/v1/models" {
            answer.status = 429;
            answer.head = "HTTP/1.1 429\r\nretry-after: 3600".to_owned();
            answer.body = br#"{"error":"too many","code":"resource_exhausted","retry_after_ms":3600000}"#.to_vec();
        }
    });
    assert!(lossy.bad(&["models"], 2, "resource_exhausted").contains("come back in 3600 s"));
    let first = Arc::new(AtomicU32::new(0));
    let asked = Arc::clone(&first);
    liar.tell(move |path, answer| {
        if path == "/v1/models" && asked.fetch_add(1, Ordering::Relaxed) == 0 {
            answer.status = 429;
            answer.head = "HTTP/1.1 429\r\nretry-after: 2".to_owned();
            answer.body = Vec::new();
        }
    });
    let start = std::time::Instant::now();
    lossy.good(&["models"]);
    assert!(start.elapsed() >= std::time::Duration::from_secs(2) && first.load(Ordering::Relaxed) == 2);
}

#[test]
fn a_job_is_waited_for_without_events_too() {
    let service = Service::start(&[]);
    let (user, _) = prepared(&service);
    let liar = Liar::before(&service);
    let polling = user.at(liar.url());
    liar.tell(|path, answer| {
        if path.ends_with("/events") {
            answer.status = 404;
            answer.body = Vec::new();
        }
    });
    let input = polling.input(1);
    let job = polling.good(&["infer", "digits", "--input", text(&input), "--prove"])["job"].clone();
    let done = polling.good(&["wait", job.as_str().expect("a job")]);
    assert_eq!(done["state"], "done", "{done}");
    polling.bad(&["wait", "0123456789abcdef0123456789abcdef"], 2, "not_found");
}

/// A certificate for 127.0.0.1 that signs itself, and its key.
pub(crate) fn self_signed(directory: &Path) -> (PathBuf, PathBuf) {
    let made =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("certificate");
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("write");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("write");
    (certificate, key)
}

#[test]
fn keys_stay_secret_and_tls_is_demanded() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let (certificate, key) = self_signed(directory.path());
    let service = Service::start(&["--tls-cert", text(&certificate), "--tls-key", text(&key)]);
    let user = User::new(format!("https://{}", service.http()), service.key("acme", "admin,infer"));
    // Nobody vouches for the certificate unless it is named.
    let said = user.bad(&["models"], 2, "unreachable");
    assert!(said.contains("certificate"), "{said}");
    let ca = ["--ca", text(&certificate)];
    assert_eq!(user.good(&[&["models"], &ca[..]].concat())["models"], json!([]));
    assert_eq!(user.good(&[&["health"], &ca[..]].concat())["ready"], true);
    // A key from a file, with the line end that editors leave.
    let file = user.file("key", format!("{}\n", user.key).as_bytes());
    let mut command = vinfer();
    command.args(["--json", "remote", "models", "--url", &user.url, "--key-file", text(&file)]).args(ca);
    assert_eq!(outcome(command.env_remove("VINFER_API_KEY")).0, Some(0));
    assert_eq!(
        outcome(vinfer().args(["--json", "remote", "models"]).env_remove("VINFER_API_KEY")).1["error"]["code"],
        "no_api_key"
    );
    // In the clear to another machine: refused before anything is sent.
    assert!(user.at("http://192.0.2.1:1".to_owned()).bad(&["models"], 2, "cleartext").contains("https://"));
    let nobody = user.at("http://127.0.0.1:9".to_owned());
    let (code, said) = nobody.run(&["health"]);
    assert_eq!((code, said["error"]["code"].as_str()), (Some(1), Some("not_ready")), "{said}");
    assert!(!said.to_string().contains(&user.key));
}
