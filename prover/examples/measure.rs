//! Times setup, proving and verification of one test model: `measure MODEL_DIR_NAME [RUNS [BATCH]]`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

use vinfer_circuits::system::{Column, Home};
use vinfer_verifier::{Expected, PreparedKey};

fn main() {
    let name = std::env::args().nth(1).expect("a model name");
    let runs: usize = std::env::args().nth(2).map_or(1, |r| r.parse().expect("a number"));
    let batch: u32 = std::env::args().nth(3).map_or(1, |n| n.parse().expect("a number"));
    let program = common::program(&name);
    let start = Instant::now();
    let (key, vk) = vinfer_prover::setup_batch(&program, batch).expect("setup");
    let layout = key.verifying_key().layout();
    let columns = &key.lowered().system.columns;
    let cells: u64 = columns.iter().filter(|c| c.home == Home::Witness).map(Column::padded_cells).sum();
    println!(
        "{name}: setup {:.3} s, vk {} B, {:?}, witness {cells} of 2^{}, constants 2^{}, leaves {} of 2^{}, columns {}, bits {:.2}",
        start.elapsed().as_secs_f64(),
        vk.len(),
        key.lowered().widths,
        layout.witness_bits,
        layout.constant_bits,
        layout.leaf_len,
        layout.leaf_bits,
        columns.len(),
        key.verifying_key().budget().total_bits()
    );
    let samples = vec![common::inputs(&name, &program, 0); batch as usize];
    for _ in 0..runs {
        let start = Instant::now();
        let proved = vinfer_prover::prove_batch(&key, &samples, [7; 32]).expect("prove");
        let prove = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let prepared = PreparedKey::from_bytes(&vk).expect("key");
        let prepare = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let verified = prepared.verify(&proved.proof, &Expected::default());
        let verify = start.elapsed().as_secs_f64();
        println!(
            "  prove {prove:.4} s, prepare {:.2} ms, verify {:.2} ms, proof {} B: {}",
            prepare * 1e3,
            verify * 1e3,
            proved.proof.len(),
            verified.map_or_else(|e| e.to_string(), |v| format!("accepted, {:.2} bits", v.security_bits))
        );
    }
}
