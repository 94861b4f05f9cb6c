//! Broken: the width of the screen, and the light. On a phone nothing runs off the side; in the dark and in the light every text
//! stands out from its ground.

use serde_json::json;

use super::Browser;
use crate::support::Service;

/// Texts that do not stand out by 4.5 to 1, with what they are on.
const FAINT: &str = r"(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour, ground) => {
    canvas.fillStyle = `rgb(${ground})`; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (parts) => {
    const [r, g, b] = parts.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    const above = node.parentElement ? ground(node.parentElement) : [255, 255, 255];
    return rgb(getComputedStyle(node).backgroundColor, above);
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const node = walker.currentNode.parentElement;
    if (!text || node.closest('.unseen, .skip, noscript, script, style, thead, title, button:disabled, [hidden]')) continue;
    const on = ground(node);
    const [a, b] = [light(rgb(getComputedStyle(node).color, on)), light(on)].sort((a, b) => b - a);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) faint.push(`${text.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return faint;
})()";

const WIDTH: &str = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)";

#[test]
fn every_page_is_readable_on_a_phone_in_the_dark_and_in_the_light() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let client = service.with_model("acme");
    assert_eq!(
        client
            .post("/v1/models?name=a-model-with-a-rather-long-name-that-nothing-can-break.v2-int8", b"no model")
            .status,
        201
    );
    let id = client.order(1);
    client.wait_job(&id);
    let failed = client.infer(9, json!({ "deadline_ms": 1 })).json();
    client.wait_job(failed["parameters"]["proof_job_id"].as_str().expect("a job"));
    let statement = client.get(&format!("/v1/jobs/{id}")).json()["statement"].as_str().expect("a statement").to_owned();
    let vk = service.file("digits.vk", &client.get("/v1/models/digits/vk").body);
    let proof = service.file("good.proof", &client.get(&format!("/v1/proofs/{statement}")).body);
    let mut bytes = std::fs::read(&proof).expect("the proof");
    bytes[5000] ^= 1;
    let tampered = service.file("tampered.proof", &bytes);
    let job = format!("#/jobs/{id}");
    let long = "#/models/a-model-with-a-rather-long-name-that-nothing-can-break.v2-int8";
    client.wait_model(&long[9..]);

    let look = |browser: &mut Browser, name: &str, width: u32, scheme: &str| {
        let shown = browser.run(WIDTH).as_u64().expect("a number");
        assert!(shown <= u64::from(width), "{name} is {shown} wide on a screen of {width}");
        assert_eq!(browser.run(FAINT), json!([]), "{name}, {scheme}");
        let dark = browser.run("getComputedStyle(document.body).backgroundColor");
        let first =
            dark.as_str().and_then(|text| text.trim_start_matches("rgb(").split(',').next()?.parse::<u32>().ok());
        assert_eq!(first.expect("a colour") < 128, scheme == "dark", "{name}: {dark}");
        assert!(browser.screenshot(&format!("{name}-{width}-{scheme}")) > 8_000, "{name}");
    };
    for (width, scheme) in [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
        browser.look(width, scheme);
        browser.visit("#/");
        browser.sees("API key");
        look(&mut browser, "sign-in", width, scheme);
        browser.sign_in(&service.key("acme", "admin,infer,operator"));
        for (hash, awaited, name) in [
            ("#/", ".bars rect.done", "overview"),
            ("#/models", "tbody .state.failed", "models"),
            ("#/models/digits", ".share", "model"),
            (long, ".problem", "model-failed"),
            ("#/jobs", "tbody .state", "jobs"),
            (&job, ".history .done", "job"),
            ("#/verify", ".slot", "verify"),
        ] {
            browser.visit(hash);
            browser.wait(&format!("document.querySelector({})", json!(awaited)));
            look(&mut browser, name, width, scheme);
        }
        for (file, title, name) in [(&proof, "Valid", "valid"), (&tampered, "Not valid: the proof is false", "invalid")]
        {
            browser.drop_files("h1", &[&vk, file]);
            browser.sees(file.file_name().and_then(|name| name.to_str()).expect("a name"));
            browser.click("Check the proof");
            assert_eq!(browser.text(".verdict h2"), title);
            look(&mut browser, name, width, scheme);
        }
        browser.click("Sign out");
    }
    browser.is_quiet();
}
