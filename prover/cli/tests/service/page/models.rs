//! Nothing is broken, then the model: one is dropped on the page, followed until it is ready, and its compile report read;
//! one that does not compile is shown with the reason; a name that is taken is refused.

use serde_json::json;

use super::Browser;
use crate::support::{MODEL, Service};

#[test]
fn a_model_is_dropped_compiled_and_reported() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let key = service.key("acme", "admin,infer");
    browser.sign_in(&key);
    browser.visit("#/models");
    browser.sees("No model yet");
    let file = service.file("digits cnn.onnx", MODEL);
    browser.drop_files(".drop", &[&file]);
    // A name that the service takes is suggested.
    browser.wait("document.querySelector('.uploads input').value === 'digits-cnn'");
    browser.click("Upload");
    browser.sees("is uploaded and being compiled");
    browser.wait("document.querySelector('tbody .state.ready')");
    browser.screenshot("models");
    browser.click("digits-cnn");
    browser.sees("Compile report");
    for text in ["Contract", "MaxPool", "Conv_4", "step function", "Witness cells", "Lookups", "Provable bits"] {
        browser.sees(text);
    }
    let report = service.client(&key).get("/v1/models/digits-cnn/report").json();
    let rows = report["rows"].as_array().expect("rows").len();
    assert_eq!(browser.run("document.querySelectorAll('[aria-label=Operations] tbody tr').length"), json!(rows));
    let sum: u64 =
        report["rows"].as_array().expect("rows").iter().map(|row| row["lookups"].as_u64().expect("a number")).sum();
    assert_eq!(report["lookups"], json!(sum), "{report}");
    assert!(report["cells"].as_u64() > Some(1000) && report["security_bits"].as_f64() >= Some(100.0), "{report}");
    browser.screenshot("model");

    browser.click("Download the verification key");
    assert_eq!(browser.saved("digits-cnn.vk"), service.client(&key).get("/v1/models/digits-cnn/vk").body);

    // The name is taken now.
    browser.visit("#/models");
    let other = service.file("digits-cnn.onnx", &[MODEL, b"\x12\x00"].concat());
    browser.drop_files(".drop", &[&other]);
    browser.click("Upload");
    browser.sees("models are immutable, use another name");
    browser.is_quiet();
}

#[test]
fn a_model_that_does_not_compile_says_why() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    browser.sign_in(&service.key("acme", "admin"));
    browser.visit("#/models");
    let file = service.file("broken.onnx", b"<img src=x onerror=alert(1)> is no model");
    browser.drop_files(".drop", &[&file]);
    browser.click("Upload");
    browser.click("Follow it");
    browser.sees("It does not compile");
    browser.sees("not an ONNX model");
    browser.screenshot("broken");
    browser.is_quiet();
}

#[test]
fn a_model_is_disabled_after_asking() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let client = service.with_model("acme");
    browser.sign_in(&service.key("acme", "admin,infer"));
    browser.visit("#/models/digits");
    browser.click("Disable …");
    browser.click("Keep it");
    assert_eq!(client.get("/v1/models/digits").json()["state"], "ready");
    browser.click("Disable …");
    browser.click("Disable it for good");
    browser.wait("document.querySelector('.state.disabled')");
    assert_eq!(client.get("/v1/models/digits").json()["state"], "disabled");
    browser.is_quiet();
}

#[test]
fn a_key_without_the_scope_is_told_what_it_cannot_do() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    browser.sign_in(&service.key("acme", "infer"));
    browser.visit("#/models");
    browser.sees("lacks the scope admin");
    assert_eq!(browser.run("document.querySelector('.drop')"), json!(null));
    browser.is_quiet();
}
