//! Damaged copies of the conformance models: no panic, no program that is invalid or does not run, bounded memory and time.
//!
//! `VINFER_MUTATIONS=N` damages each model N times (default 150).

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use vinfer_compiler::{compile_bytes, inspect_bytes};

/// Counts the bytes in use and their peak.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(USED.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes that compiling a damaged copy of a small model may need.
const MEMORY: usize = 1 << 30;
/// Longest time for one.
const TIME: Duration = Duration::from_secs(10);

/// Small deterministic generator (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// One to three bytes changed, removed or doubled.
fn damage(model: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = model.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at.max(1)),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[at]),
            3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            _ => bytes[at] ^= 1 << random.below(8),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

/// Inspects and compiles, and runs the program if it is small.
fn check(model: &[u8]) -> bool {
    let _ = inspect_bytes(model, None);
    let Ok(compiled) = compile_bytes(model, None) else { return false };
    let program = &compiled.program;
    program.validate().expect("valid");
    let input = |p: &vinfer_circuits::program::Port| {
        let value = &program.values[p.value as usize];
        vec![value.quantisation.lo().max(0).min(value.quantisation.hi()); value.len()]
    };
    if program.values.iter().map(vinfer_circuits::program::Value::len).sum::<usize>() < 1 << 20 {
        let inputs: Vec<_> = program.inputs.iter().map(input).collect();
        vinfer_prover::execute::execute(program, &inputs).expect("runs");
    }
    true
}

#[test]
fn damaged_models_cost_little_and_never_panic() {
    let rounds = std::env::var("VINFER_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut compiled, mut total, mut slowest) = (0, 0, Duration::ZERO);
    for set in ["A_quant", "A_quant_ext", "B_struct", "C_int", "D_float_qdq"] {
        for (member, array) in common::read_npz(&directory.join(format!("{set}.npz"))) {
            let (Some((name, "model")), common::Data::Integer(bytes)) = (member.split_once('/'), array.data) else {
                continue;
            };
            let model: Vec<u8> = bytes.iter().map(|&b| b as u8).collect();
            for round in 0..rounds {
                let damaged = damage(&model, &mut random);
                let (before, start) = (USED.load(Relaxed), Instant::now());
                PEAK.store(before, Relaxed);
                compiled += usize::from(check(&damaged));
                let (memory, time) = (PEAK.load(Relaxed) - before, start.elapsed());
                assert!(memory < MEMORY && time < TIME, "{name} round {round}: {memory} bytes, {time:?}");
                slowest = slowest.max(time);
                total += 1;
            }
        }
    }
    println!("{compiled} of {total} damaged models compile; the slowest takes {slowest:?}");
    assert!(total > 200);
}
