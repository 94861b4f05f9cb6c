//! A real headless Chromium, driven by the DevTools protocol over two pipes. It records what the page says on the console
//! and which hosts it asks.

use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, Service};

/// The browser keeps its pipes in the descriptors 3 and 4.
const SCRIPT: &str = "exec \"$@\" 3<&0 4>&1 0</dev/null 1>&2 2>/dev/null";

/// A tab.
pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last: u64,
    origin: String,
    /// What went wrong on the page.
    errors: Vec<String>,
    /// Where requests went.
    urls: Vec<String>,
    profile: TempDir,
}

/// A key of the keyboard: name, code, text.
pub(crate) type Key = (&'static str, u32, &'static str);
pub(crate) const TAB: Key = ("Tab", 9, "");
pub(crate) const ENTER: Key = ("Enter", 13, "\r");
pub(crate) const SPACE: Key = (" ", 32, " ");

impl Browser {
    /// A tab on the page of a service; nothing where this machine has no Chromium.
    pub(crate) fn open(service: &Service) -> Option<Self> {
        let program = ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find(|program| Command::new(program).arg("--version").output().is_ok_and(|said| said.status.success()));
        let Some(program) = program else {
            eprintln!("skipped: no chromium on this machine; install the package `chromium` to run this test");
            return None;
        };
        let profile = tempfile::tempdir().expect("temporary directory");
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "sh", program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--hide-scrollbars", "--lang=en-GB", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let input = child.stdin.take().expect("stdin");
        let output = BufReader::new(child.stdout.take().expect("stdout"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in messages_of(output) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            input,
            messages,
            session: None,
            last: 0,
            origin: format!("http://{}", service.http()),
            errors: Vec::new(),
            urls: Vec::new(),
            profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log", "DOM"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let downloads = json!({ "behavior": "allow", "downloadPath": browser.profile.path() });
        browser.call("Browser.setDownloadBehavior", downloads);
        browser.look(1280, "light");
        browser.go("/");
        Some(browser)
    }

    /// Sets the width of the window and what the person prefers.
    pub(crate) fn look(&mut self, width: u32, scheme: &str) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", scheme);
    }

    fn note(&mut self, event: &Value) {
        let (method, told) = (event["method"].as_str().unwrap_or_default(), &event["params"]);
        match method {
            "Runtime.exceptionThrown" => self.errors.push(told.to_string()),
            "Runtime.consoleAPICalled" if told["type"] == "error" || told["type"] == "warning" => {
                self.errors.push(told.to_string());
            }
            // An answer of 4xx is told here too; scenarios that provoke one say so.
            "Log.entryAdded" if told["entry"]["level"] == "error" && told["entry"]["source"] != "network" => {
                self.errors.push(told.to_string());
            }
            "Network.requestWillBeSent" => {
                self.urls.push(told["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = self.session.as_ref().filter(|_| !method.starts_with("Browser.")) {
            message["sessionId"] = json!(session);
        }
        self.input.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let answer = match self.messages.recv_timeout(PATIENCE) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => panic!("{method}: the browser does not answer"),
                Err(RecvTimeoutError::Disconnected) => panic!("{method}: the browser has ended"),
            };
            if answer["id"] == json!(self.last) {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.note(&answer);
        }
    }

    /// Opens a path of the service.
    pub(crate) fn go(&mut self, path: &str) {
        let url = format!("{}{path}", self.origin);
        self.call("Page.navigate", json!({ "url": url }));
        self.wait("document.readyState === 'complete' && document.querySelector('h1')");
    }

    /// Goes to a page within the page.
    pub(crate) fn visit(&mut self, hash: &str) {
        self.run(&format!("location.hash = {}", json!(hash)));
    }

    /// The value of an expression.
    pub(crate) fn run(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn wait(&mut self, expression: &str) {
        let start = Instant::now();
        while self.run(&format!("Boolean({expression})")) != json!(true) {
            let page = || String::from("document.body.innerText.slice(0, 2000)");
            if start.elapsed() > PATIENCE {
                let text = self.run(&page());
                panic!("waited in vain for {expression}; the page says: {text}");
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits for a text on the page.
    pub(crate) fn sees(&mut self, text: &str) {
        self.wait(&format!("document.body.innerText.includes({})", json!(text)));
    }

    /// Text of the first element that a selector finds.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        self.wait(&format!("document.querySelector({})", json!(selector)));
        let text = self.run(&format!("document.querySelector({}).innerText", json!(selector)));
        text.as_str().expect("text").to_owned()
    }

    /// Clicks on a button or link with this text, where it is on the screen.
    pub(crate) fn click(&mut self, text: &str) {
        let find = format!(
            "[...document.querySelectorAll('a, button')].find((node) => node.innerText.trim() === {} && !node.disabled)",
            json!(text)
        );
        self.wait(&find);
        let at = self.run(&format!(
            "(() => {{ const node = {find}; node.scrollIntoView({{ block: 'center' }}); const box = \
             node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let mouse = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", mouse);
        }
    }

    /// Drops files on the middle of an element.
    pub(crate) fn drop_files(&mut self, selector: &str, files: &[&Path]) {
        self.wait(&format!("document.querySelector({})", json!(selector)));
        let at = self.run(&format!(
            "(() => {{ const node = document.querySelector({}); node.scrollIntoView({{ block: 'center' }}); const box = \
             node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        ));
        for kind in ["dragEnter", "dragOver", "drop"] {
            let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
            self.call("Input.dispatchDragEvent", json!({ "type": kind, "x": at[0], "y": at[1], "data": data }));
        }
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, (key, code, text): Key) {
        let event =
            json!({ "key": key, "code": if key == " " { "Space" } else { key }, "windowsVirtualKeyCode": code });
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            let mut event = event.clone();
            event["type"] = json!(kind);
            if !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types a text.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Signs in with a key.
    pub(crate) fn sign_in(&mut self, key: &str) {
        self.wait("document.getElementById('key')");
        self.run("document.getElementById('key').focus()");
        self.type_text(key);
        self.press(ENTER);
        self.wait("document.querySelector('#account button')");
    }

    /// A file that the browser has saved.
    pub(crate) fn saved(&self, name: &str) -> Vec<u8> {
        let path = self.profile.path().join(name);
        crate::support::wait("the file is saved", || std::fs::read(&path).ok().filter(|bytes| !bytes.is_empty()))
    }

    /// A picture of the whole page; kept where `VINFER_SCREENSHOTS` names a directory.
    pub(crate) fn screenshot(&mut self, name: &str) -> usize {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let bytes = decode(shot["data"].as_str().expect("a picture"));
        assert!(bytes.starts_with(b"\x89PNG"));
        if let Some(directory) = std::env::var_os("VINFER_SCREENSHOTS") {
            std::fs::create_dir_all(&directory).expect("directory");
            std::fs::write(Path::new(&directory).join(format!("{name}.png")), &bytes).expect("write");
        }
        bytes.len()
    }

    /// Demands that nothing went wrong on the page, and that it asked nobody but its own service.
    pub(crate) fn is_quiet(&mut self) {
        // Whatever was still under way is told before this answer.
        self.run("new Promise((resolve) => setTimeout(resolve, 100))");
        assert!(self.errors.is_empty(), "{:#?}", self.errors);
        assert!(self.urls.iter().any(|url| url.ends_with("/page/main.js")), "{:?}", self.urls);
        let own = format!("{}/", self.origin);
        let elsewhere: Vec<&String> =
            self.urls.iter().filter(|url| !url.starts_with(&own) && !url.starts_with("blob:")).collect();
        assert!(elsewhere.iter().all(|url| *url == "about:blank"), "{elsewhere:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Messages end with a zero byte.
fn messages_of(mut output: impl Read) -> impl Iterator<Item = Value> {
    let mut pending = Vec::new();
    std::iter::from_fn(move || {
        loop {
            if let Some(end) = pending.iter().position(|byte| *byte == 0) {
                let rest = pending.split_off(end + 1);
                let message = std::mem::replace(&mut pending, rest);
                return serde_json::from_slice(&message[..end]).ok();
            }
            let mut more = vec![0u8; 1 << 16];
            let read = output.read(&mut more).ok().filter(|read| *read > 0)?;
            pending.extend_from_slice(&more[..read]);
        }
    })
}

fn decode(base64: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(base64.len() / 4 * 3);
    for four in base64.as_bytes().chunks(4) {
        let digits = four.iter().take_while(|byte| **byte != b'=');
        let word = digits
            .clone()
            .fold(0u32, |word, byte| word << 6 | DIGITS.iter().position(|digit| digit == byte).expect("base64") as u32);
        let count = digits.count();
        let word = word << (6 * (4 - count));
        bytes.extend_from_slice(&word.to_be_bytes()[1..count]);
    }
    bytes
}
