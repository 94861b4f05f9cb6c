//! Broken: the key. A wrong one is refused in plain words; a right one is kept in the tab alone and forgotten on signing out;
//! one that is revoked meanwhile leads back to the sign-in.

use serde_json::json;

use super::Browser;
use crate::support::Service;

#[test]
fn a_key_opens_the_page_and_is_forgotten() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let key = service.key("acme", "admin,infer");
    browser.sees("Sign in with your API key");
    browser.run("document.getElementById('key').value = 'vinfer_0011223344556677_wrong'");
    browser.click("Sign in");
    browser.sees("does not know this key");
    assert_eq!(browser.run("sessionStorage.length"), json!(0));

    browser.run("document.getElementById('key').value = ''");
    browser.sign_in(&key);
    browser.sees("No model yet");
    assert_eq!(browser.text(".tenant"), "acme");
    // It survives loading the page again, in this tab, and is nowhere else.
    browser.go("/?again");
    browser.sees("No model yet");
    assert_eq!(browser.run("[sessionStorage.length, localStorage.length, document.cookie.length]"), json!([1, 0, 0]));
    assert_eq!(browser.run("location.href.includes('vinfer_')"), json!(false));

    browser.click("Sign out");
    browser.sees("Sign in with your API key");
    assert_eq!(browser.run("sessionStorage.length"), json!(0));
    browser.is_quiet();
}

#[test]
fn a_revoked_key_leads_back_to_the_sign_in() {
    let service = Service::start(&[]);
    let Some(mut browser) = Browser::open(&service) else { return };
    let key = service.key("acme", "infer");
    browser.sign_in(&key);
    browser.visit("#/jobs");
    browser.sees("No job yet");
    service.keys("revoke", &[key.split('_').nth(1).expect("the public part")]);
    browser.sees("Sign in with your API key");
    assert_eq!(browser.run("sessionStorage.length"), json!(0));
    browser.is_quiet();
}
