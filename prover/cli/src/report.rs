//! What a command prints: text for people, or one JSON object.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::error::CliError;

/// What a command that is done has to say.
pub(crate) struct Outcome {
    /// Lines for people.
    pub(crate) text: String,
    /// The object printed with `--json`.
    pub(crate) json: Value,
}

/// Writes to stdout; a reader that has gone away is no error.
pub(crate) fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write!(stdout, "{text}{end}").and_then(|()| stdout.flush()).ok();
}

/// The JSON object of a failed command; `verify` also says that nothing is valid.
pub(crate) fn failure(error: &CliError, verifying: bool) -> Value {
    failure_object(error.code(), &error.to_string(), error.hint(), verifying)
}

/// The JSON object of a command line that does not parse.
pub(crate) fn usage_failure(message: &str, verifying: bool) -> Value {
    failure_object("usage", message, None, verifying)
}

fn failure_object(code: &str, message: &str, hint: Option<&str>, verifying: bool) -> Value {
    let mut object = Map::new();
    if verifying {
        object.insert("valid".into(), false.into());
    }
    object.insert("error".into(), json!({ "code": code, "message": message }));
    if let (Some(hint), Some(Value::Object(inner))) = (hint, object.get_mut("error")) {
        inner.insert("hint".into(), hint.into());
    }
    Value::Object(object)
}

/// A spinner on stderr for long work; silent where stderr is no terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Starts one.
    pub(crate) fn start(message: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(message);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A count with thin groups: `12 345`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes: `12.3 KB` (1 KB = 1000 bytes).
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} bytes"),
        1_000..1_000_000 => format!("{:.1} KB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

/// A time: `12.3 ms`, `1.23 s`.
pub(crate) fn seconds(s: f64) -> String {
    if s < 1.0 { format!("{:.1} ms", s * 1e3) } else { format!("{s:.2} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1234567), "1 234 567");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(12_345), "12.3 KB");
        assert_eq!(seconds(0.0123), "12.3 ms");
        assert_eq!(seconds(1.5), "1.50 s");
    }
}
