//! Broken: the operator's honesty. An entry of the log is checked offline; a changed database, head or entry is found.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Service, vinfer};

fn verify(arguments: &[&str]) -> (Option<i32>, String) {
    let output = vinfer().args(["log", "verify"]).args(arguments).output().expect("log verify");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn an_entry_is_checked_offline_and_a_changed_one_is_refused() {
    let service = Service::start(&[]);
    let client = service.with_model("acme");
    let prove = |seed: u64| {
        let answer = client.infer(seed, json!({ "proof": "wait" })).json();
        answer["parameters"]["statement"].as_str().expect("a statement").to_owned()
    };
    let _first = prove(1);
    let earlier = client.get("/v1/log/head");
    let size = earlier.json()["head"]["size"].as_u64().expect("a size");
    let key = earlier.json()["public_key"].as_str().expect("a key").to_owned();
    let statements: Vec<String> = (2..7).map(prove).collect();
    let entry = client.get(&format!("/v1/log/entries/{}?since={size}", statements[2]));
    assert_eq!(entry.status, 200, "{}", entry.text());
    let (file, since) = (service.file("entry.json", &entry.body), service.file("head.json", &earlier.body));
    let check = |file: &Path| verify(&["--entry", text(file), "--key", &key, "--since", text(&since)]);
    let (code, said) = check(&file);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&statements[2]), "{said}");

    for (pointer, value) in [
        ("/index", json!(0)),
        ("/head/size", json!(9)),
        ("/head/root", json!("0".repeat(64))),
        ("/path/0", json!("0".repeat(64))),
        ("/consistency/0", json!("0".repeat(64))),
        ("/leaf", json!(entry.json()["leaf"].as_str().expect("a leaf").replace("accepted", "rejected"))),
    ] {
        let mut changed = entry.json();
        *changed.pointer_mut(pointer).expect("a place") = value;
        let file = service.file("changed.json", changed.to_string().as_bytes());
        assert_eq!(check(&file).0, Some(1), "{pointer}");
    }
    let other_key = "0".repeat(64);
    assert_eq!(verify(&["--entry", text(&file), "--key", &other_key]).0, Some(1));
    // Entries are their tenant's; heads and hashes are everybody's.
    let other = service.client(&service.key("other", "infer"));
    assert_eq!(other.get(&format!("/v1/log/entries/{}", statements[0])).status, 404);
    assert_eq!(other.get("/v1/log/hashes").json()["hashes"].as_array().map(Vec::len), Some(6));
    assert_eq!(other.get(&format!("/v1/log/consistency?first={size}")).status, 200);
    assert_eq!(other.get("/v1/log/consistency?first=99").status, 400);
}

#[test]
fn a_changed_database_is_found() {
    let mut service = Service::start(&[]);
    let client = service.with_model("acme");
    for seed in 0..4 {
        client.infer(seed, json!({ "proof": "wait" }));
    }
    let sizes = || client.get("/v1/log/head").json()["head"]["size"].clone();
    assert_eq!(sizes(), 4);
    service.terminate();
    assert!(service.wait());
    let data = text(service.data()).to_owned();
    let (code, said) = verify(&["--data", &data]);
    assert_eq!(code, Some(0), "{said}");

    // A copy of the records in which one entry says something else.
    let copy = service.data().join("copy");
    let copied = vinfer().args(["backup", "--data", &data, "-o", text(&copy)]).output().expect("backup");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let records = std::fs::read_to_string(copy.join("records.jsonl")).expect("records");
    let forged: String = records
        .lines()
        .map(|line| {
            let mut record: Value = serde_json::from_str(line).expect("JSON");
            if record["key"].as_str().is_some_and(|key| key.starts_with("log.leaf.") && key.ends_with('2')) {
                record["value"] = json!("eyJmb3JnZWQiOnRydWV9");
            }
            format!("{record}\n")
        })
        .collect();
    assert_ne!(records, forged);
    let restore = |records: &str, name: &str| {
        std::fs::write(copy.join("records.jsonl"), records).expect("write");
        let digest = blake3::hash(records.as_bytes()).to_hex().to_string();
        let mut manifest: Value =
            serde_json::from_slice(&std::fs::read(copy.join("manifest.json")).expect("manifest")).expect("JSON");
        manifest["records_digest"] = json!(digest);
        std::fs::write(copy.join("manifest.json"), manifest.to_string()).expect("write");
        let data = service.data().join(name);
        let restored = vinfer().args(["restore", text(&copy), "--data", text(&data)]).output().expect("restore");
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        verify(&["--data", text(&data)])
    };
    assert_eq!(restore(&records, "same").0, Some(0));
    let (code, said) = restore(&forged, "forged");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("leaf 2") && said.contains("signed head") || said.contains("entry"), "{said}");
}
