//! Limits that a process sets itself before it reads what a client sent.

use nix::sys::resource::{Resource, setrlimit};

/// Limits the address space to `memory` bytes and the processor time of this process to `seconds`. They stay: the process
/// is of no other use afterwards. It ends with its parent.
///
/// # Errors
/// The operating system refuses.
pub fn confine(memory: u64, seconds: u64) -> std::io::Result<()> {
    setrlimit(Resource::RLIMIT_AS, memory, memory)?;
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds.saturating_add(1))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    Ok(())
}
