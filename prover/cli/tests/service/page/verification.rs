//! Broken: the proof, the key, the input. Anybody, without a key for the service, drops files and gets the verdict of the
//! verifier in plain words.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::Browser;
use crate::support::{Client, Service, request};

/// Another model.
const OTHER_MODEL: &[u8] = include_bytes!("../../../../../compiler/tests/models/iris_mlp_int8/model.onnx");

struct Proven {
    client: Client,
    vk: PathBuf,
    proof: PathBuf,
    bytes: Vec<u8>,
}

fn proven(service: &Service) -> Proven {
    let client = service.with_model("acme");
    let answer = client.infer(3, json!({ "proof": "wait" })).json();
    let statement = answer["parameters"]["statement"].as_str().expect("a statement");
    let bytes = client.get(&format!("/v1/proofs/{statement}")).body;
    let vk = service.file("digits.vk", &client.get("/v1/models/digits/vk").body);
    let proof = service.file("three.proof", &bytes);
    Proven { client, vk, proof, bytes }
}

/// Drops files and waits until they are taken.
fn give(browser: &mut Browser, target: &str, files: &[&Path]) {
    browser.drop_files(target, files);
    for file in files {
        browser.sees(file.file_name().and_then(|name| name.to_str()).expect("a name"));
    }
}

fn verdict(browser: &mut Browser) -> String {
    browser.click("Check the proof");
    let text = browser.text(".verdict h2");
    browser.run("scrollTo(0, 0)");
    text
}

#[test]
fn anybody_sees_what_a_proof_is_worth() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let Proven { vk, proof, mut bytes, .. } = proven(&service);
    browser.click("Verify needs no key.");
    browser.sees("Verification key");
    assert_eq!(browser.run("document.querySelector('button.main').disabled"), json!(true));
    // Both dropped at once, on no box: each goes where it belongs.
    give(&mut browser, "h1", &[&proof, &vk]);
    assert_eq!(verdict(&mut browser), "Valid");
    for text in ["103.4", "no input given", "Nothing is hidden", "FP32 1 × 1 × 8 × 8", "FP32 1 × 10", "direct-100"]
    {
        browser.sees(text);
    }
    browser.screenshot("verify-valid");

    // The right input, then another, as it was sent and as an array.
    let sent = service.file("sent.json", request(3, json!({})).to_string().as_bytes());
    give(&mut browser, "#file-input", &[&sent]);
    assert_eq!(verdict(&mut browser), "Valid");
    browser.sees("the same");
    let other = service.file("other.json", request(4, json!({})).to_string().as_bytes());
    give(&mut browser, "h1", &[&other]);
    assert_eq!(browser.run("document.querySelector('.verdict')"), json!(null), "an old verdict stays beside new files");
    assert_eq!(verdict(&mut browser), "Not valid for your input");
    browser.sees("is about another input than the one in your file");
    let image = |pixels: &[serde_json::Value]| json!([pixels.chunks(8).collect::<Vec<_>>()]);
    let data = |seed: u64| request(seed, json!({}))["inputs"][0]["data"].as_array().expect("data").clone();
    let samples = json!({ "x": [image(&data(4)), image(&data(3))] });
    let array = service.file("array.json", samples.to_string().as_bytes());
    give(&mut browser, "#file-input", &[&array]);
    assert_eq!(verdict(&mut browser), "Not valid for your input");
    browser.run("document.getElementById('index').focus()");
    browser.run("document.getElementById('index').select()");
    browser.type_text("1");
    assert_eq!(verdict(&mut browser), "Valid");
    let unfit = service.file("unfit.json", b"[1, 2, 3]");
    give(&mut browser, "#file-input", &[&unfit]);
    assert_eq!(verdict(&mut browser), "Not compared");
    browser.run("document.querySelector('[aria-label=\"Take out Input, if you have it\"]').click()");

    // One bit.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let tampered = service.file("tampered.proof", &bytes);
    give(&mut browser, "h1", &[&tampered]);
    assert_eq!(verdict(&mut browser), "Not valid: the proof is false");
    browser.sees("proof rejected");
    browser.screenshot("verify-tampered");
    let cut = service.file("cut.proof", &bytes[..1000]);
    give(&mut browser, "h1", &[&cut]);
    assert_eq!(verdict(&mut browser), "Not a readable proof");
    let junk = service.file("junk.bin", b"\x01\x02 something else");
    give(&mut browser, "h1", &[&junk]);
    browser.sees("is no verification key, proof or input");
    browser.is_quiet();
}

#[test]
fn the_key_of_another_model_is_told_apart() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let Proven { client, proof, .. } = proven(&service);
    let uploaded = client.post("/v1/models?name=other", OTHER_MODEL);
    assert_eq!(uploaded.status, 201);
    client.wait_ready("other");
    let vk = service.file("other.vk", &client.get("/v1/models/other/vk").body);
    browser.visit("#/verify");
    give(&mut browser, "h1", &[&vk, &proof]);
    assert_eq!(verdict(&mut browser), "Not valid: another model's key");
    browser.is_quiet();
}

#[test]
fn a_service_that_checks_nothing_without_a_key_says_so() {
    let service = Service::start(&["--set", "open_verify=false"]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let Proven { vk, proof, .. } = proven(&service);
    browser.visit("#/verify");
    give(&mut browser, "h1", &[&vk, &proof]);
    browser.click("Check the proof");
    browser.sees("only with an API key");
    browser.click("Sign in");
    browser.sign_in(&service.key("acme", "infer"));
    browser.visit("#/verify");
    give(&mut browser, "h1", &[&vk, &proof]);
    assert_eq!(verdict(&mut browser), "Valid");
    browser.is_quiet();
}
