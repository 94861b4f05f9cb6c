//! The page at `/`, in a real browser: one file per scenario. Each also demands that nothing is said on the console and that
//! no other host is asked.

mod browser;
mod delivery;
mod faults;
mod inference;
mod jobs;
mod keyboard;
mod looks;
mod models;
mod overview;
mod session;
mod verification;

use browser::Browser;
