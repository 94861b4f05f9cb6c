//! Child processes and what the kernel says they used.

use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::error::BenchError;

/// Longest pause between two looks at a running child: an upper bound on the error of its wall time.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Resources that a child used, threads and its own children included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    wall_seconds: f64,
    cpu_seconds: f64,
    peak_rss_bytes: u64,
}

impl Usage {
    /// The figures as an object.
    pub(crate) fn json(self) -> Value {
        json!({
            "wall_seconds": self.wall_seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_rss_bytes": self.peak_rss_bytes,
        })
    }
}

/// Runs a step to its end; returns `{"process": usage, "report": last line of stdout as JSON}`.
///
/// Its output goes to `STEP.out` and `STEP.err` in `logs`.
pub(crate) fn run(step: &str, command: &mut Command, logs: &Path, limit: Duration) -> Result<Value, BenchError> {
    let (out, err) = (logs.join(format!("{step}.out")), logs.join(format!("{step}.err")));
    let create = |path: &Path| File::create(path).map_err(|source| BenchError::File { path: path.into(), source });
    command.stdin(Stdio::null()).stdout(create(&out)?).stderr(create(&err)?);
    let start_error = |source| BenchError::Start { program: step.into(), source };
    let start = Instant::now();
    let mut child = command.spawn().map_err(start_error)?;
    let (status, usage) = wait(&mut child, start, limit).map_err(start_error)?;
    let Some(status) = status else {
        return Err(BenchError::TimedOut { step: step.into(), seconds: limit.as_secs() });
    };
    if status != 0 {
        let text = fs::read_to_string(&err).unwrap_or_default();
        let last_words = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
        let status = if libc::WIFEXITED(status) {
            format!("exit code {}", libc::WEXITSTATUS(status))
        } else {
            format!("signal {}", libc::WTERMSIG(status))
        };
        return Err(BenchError::Failed { step: step.into(), status, last_words });
    }
    let text = fs::read_to_string(&out).map_err(|source| BenchError::File { path: out, source })?;
    let mut object = Map::new();
    object.insert("process".into(), usage.json());
    object.insert("report".into(), last_object(&text).unwrap_or_default());
    Ok(Value::Object(object))
}

/// Waits for a child: its wait status (none if killed at the limit) and usage.
fn wait(child: &mut Child, start: Instant, limit: Duration) -> io::Result<(Option<libc::c_int>, Usage)> {
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some((status, usage)) = try_wait(child, start, libc::WNOHANG)? {
            return Ok((Some(status), usage));
        }
        if start.elapsed() > limit {
            child.kill()?;
            if let Some((_, usage)) = try_wait(child, start, 0)? {
                return Ok((None, usage));
            }
        }
        sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// `wait4`: status and usage of the child if it has ended.
fn try_wait(child: &Child, start: Instant, options: libc::c_int) -> io::Result<Option<(libc::c_int, Usage)>> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live locals of the right types; `rusage` is integers only, so zeros are a value of it.
    let (ended, usage) = unsafe { (libc::wait4(pid, &mut status, options, usage.as_mut_ptr()), usage.assume_init()) };
    match ended {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => {
            let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
            let rss_unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
            let usage = Usage {
                wall_seconds: start.elapsed().as_secs_f64(),
                cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
                peak_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * rss_unit,
            };
            Ok(Some((status, usage)))
        }
    }
}

/// The JSON object on the last line that is one.
fn last_object(text: &str) -> Option<Value> {
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok().filter(Value::is_object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_object_skips_chatter() {
        let text = "working\n{\"a\": 1}\n{\"proof_bytes\": 3072, \"done\": true}\n+---+\n\n12\n";
        assert_eq!(last_object(text), Some(json!({ "proof_bytes": 3072, "done": true })));
        assert_eq!(last_object("no object\n[1]\n"), None);
    }
}
