//! What a piece of work costs: wall time, processor time, peak memory.

mod phases;

use std::time::Instant;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;

pub(crate) use phases::phases;

/// A running measurement.
pub(crate) struct Stopwatch {
    wall: Instant,
    cpu: f64,
}

/// Time that a piece of work took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elapsed {
    /// Wall-clock seconds.
    pub(crate) wall: f64,
    /// Processor seconds (user and system) of all threads.
    pub(crate) cpu: f64,
}

impl Stopwatch {
    /// Starts measuring.
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_seconds() }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Elapsed {
        Elapsed { wall: self.wall.elapsed().as_secs_f64(), cpu: cpu_seconds() - self.cpu }
    }
}

fn usage() -> Option<Usage> {
    getrusage(UsageWho::RUSAGE_SELF).ok()
}

fn cpu_seconds() -> f64 {
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6;
    usage().map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Largest resident memory of this process so far, in bytes.
///
/// Linux's own high-water mark where there is one: `getrusage` starts from the parent process's.
pub(crate) fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let high_water = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    high_water.map_or_else(
        || usage().map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0) * unit),
        |kibibytes| kibibytes * 1024,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_plausible() {
        let watch = Stopwatch::start();
        let mut x = 0u64;
        while watch.elapsed().wall < 0.02 {
            x = std::hint::black_box(x + 1);
        }
        let elapsed = watch.elapsed();
        assert!(elapsed.cpu >= 0.0 && elapsed.cpu < 60.0, "{elapsed:?}");
        assert!((1 << 18..1 << 40).contains(&peak_rss_bytes()));
    }
}
