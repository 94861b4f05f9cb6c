//! Broken: the mouse. Everything is reached and done with the keyboard alone, and where it is can be seen.

use serde_json::{Value, json};

use super::Browser;
use super::browser::{ENTER, SPACE, TAB};
use crate::support::Service;

/// What has the keyboard: its text or its label.
const ACTIVE: &str = "(() => { const node = document.activeElement; \
    return node.getAttribute('aria-label') ?? node.innerText?.trim() ?? node.id; })()";

/// Goes on with the tabulator until this has the keyboard; every stop on the way shows a ring. (The content as a whole
/// gets the keyboard from a new page, which may come in between, never from the tabulator.)
fn reach(browser: &mut Browser, name: &str) {
    let mut passed = Vec::new();
    for _ in 0..120 {
        browser.press(TAB);
        let ring = browser.run(
            "(() => { const node = document.activeElement; \
             const shown = node.matches('.drop input') ? node.closest('.drop') : node; \
             return node === document.body || node.id === 'main' || getComputedStyle(shown).outlineStyle !== 'none'; })()",
        );
        let active = browser.run(ACTIVE);
        assert_eq!(ring, json!(true), "no ring around {active}");
        if active == json!(name) {
            return;
        }
        passed.push(active);
    }
    panic!("{name} is not reached: {passed:?}");
}

fn focused(browser: &mut Browser) -> Value {
    browser.run("document.activeElement.id")
}

#[test]
fn the_keyboard_is_enough() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let key = service.key("acme", "admin,infer");
    // The first stop leads past the navigation.
    browser.press(TAB);
    assert_eq!(browser.run(ACTIVE), json!("Skip to the content"));
    browser.press(ENTER);
    assert_eq!(focused(&mut browser), json!("main"));
    browser.press(TAB);
    assert_eq!(focused(&mut browser), json!("key"));
    browser.type_text(&key);
    browser.press(ENTER);
    browser.sees("No model yet");

    let _ = service.with_model("acme");
    reach(&mut browser, "Models");
    browser.press(ENTER);
    browser.wait("document.querySelector('tbody .state.ready')");
    // A new page begins at its content.
    assert_eq!(focused(&mut browser), json!("main"));
    reach(&mut browser, "Choose models to upload");
    reach(&mut browser, "digits");
    browser.press(ENTER);
    browser.sees("Compile report");
    reach(&mut browser, "Fill with zeros");
    browser.press(SPACE);
    browser.wait("document.getElementById('request').value.includes('FP32')");
    browser.run("document.getElementById('request').focus()");
    reach(&mut browser, "Run and prove");
    browser.press(ENTER);
    browser.sees("Answer");
    reach(&mut browser, "Follow the proof");
    browser.press(ENTER);
    browser.wait("document.querySelector('.row .state.done')");
    reach(&mut browser, "Check it and show what it says");
    browser.press(SPACE);
    assert_eq!(browser.text(".verdict h2"), "Valid");
    // The verdict is told to who does not see it.
    browser.wait("document.getElementById('said').textContent === 'Valid'");
    browser.is_quiet();
}

#[test]
fn what_is_drawn_anew_keeps_the_keyboard() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let client = service.with_model("acme");
    let first = client.order(1);
    client.wait_job(&first);
    browser.sign_in(&service.key("acme", "infer"));
    browser.wait(&format!("document.querySelector('a[href=\"#/jobs/{first}\"]')"));
    reach(&mut browser, &format!("Job {first}"));
    let second = client.order(2);
    browser.wait(&format!("document.querySelector('a[href=\"#/jobs/{second}\"]')"));
    assert_eq!(browser.run(ACTIVE), json!(format!("Job {first}")));
    browser.is_quiet();
}
