//! One real proof, each stage timed.

use vinfer_circuits::codec::Writer;
use vinfer_circuits::program::{IntType, Program, Value};
use vinfer_circuits::statement::{Statement, raw_tensor};
use vinfer_circuits::system::PublicPort;
use vinfer_prover::execute::run;
use vinfer_prover::{ProveError, Witness, count_multiplicities, prove_witness};
use vinfer_verifier::{Expected, Verified};

use super::EngineError;
use crate::measure::{Elapsed, Stopwatch, peak_rss_bytes};
use crate::ports::Sample;

/// What making and checking one proof took.
pub(crate) struct Measured {
    /// What was proven, in words.
    pub(crate) input: &'static str,
    /// Making both keys.
    pub(crate) setup: Elapsed,
    /// Proving, stage by stage, in order.
    pub(crate) stages: Vec<(&'static str, Elapsed)>,
    /// Checking the proof with the prepared key.
    pub(crate) verify: Elapsed,
    /// Bytes of the proof file.
    pub(crate) proof_bytes: u64,
    /// Bytes of the verifying key.
    pub(crate) vk_bytes: u64,
    /// Peak memory of this process so far: compiling, setup, proving.
    pub(crate) peak_bytes: u64,
    /// What the verifier says.
    pub(crate) verified: Verified,
}

impl Measured {
    /// Processor seconds of all proving stages.
    pub(crate) fn prove_cpu(&self) -> f64 {
        self.stages.iter().map(|(_, elapsed)| elapsed.cpu).sum()
    }

    /// Wall-clock seconds of all proving stages.
    pub(crate) fn prove_wall(&self) -> f64 {
        self.stages.iter().map(|(_, elapsed)| elapsed.wall).sum()
    }
}

/// Makes keys, proves the program on an input and verifies the proof, timing each stage.
///
/// # Errors
/// The program has no keys, or the inputs do not fit it.
pub(crate) fn measure(program: &Program, inputs: &Sample, input: &'static str) -> Result<Measured, EngineError> {
    let watch = Stopwatch::start();
    let (key, vk) = vinfer_prover::setup(program)?;
    let setup = watch.elapsed();
    let mut stages = Vec::new();
    let mut timed = |name, watch: Stopwatch| stages.push((name, watch.elapsed()));

    let watch = Stopwatch::start();
    let execution = run(program, inputs).map_err(ProveError::from)?;
    timed("execute the model on integers", watch);
    let watch = Stopwatch::start();
    let mut witness = Witness::new(&key, &execution);
    timed("fill the witness columns", watch);
    let watch = Stopwatch::start();
    if let Some((instance, lookup)) = count_multiplicities(&key, &mut witness) {
        return Err(ProveError::Unsatisfied { instance, lookup }.into());
    }
    timed("count the uses of table rows", watch);
    let watch = Stopwatch::start();
    let outputs: Vec<&[i32]> =
        program.outputs.iter().filter_map(|port| execution.trace.get(port.value as usize).map(Vec::as_slice)).collect();
    let system = &key.lowered().system;
    let inputs: Vec<&[i32]> = inputs.iter().map(Vec::as_slice).collect();
    let statement = Statement {
        key_digest: key.verifying_key().digest(),
        context: [0; 32],
        inputs: raw(&system.inputs, &inputs)?,
        outputs: raw(&system.outputs, &outputs)?,
    };
    let proof = prove_witness(&key, &statement, &witness);
    let mut writer = Writer::new();
    statement.encode(&mut writer);
    proof.encode(&mut writer);
    let file = writer.finish();
    timed("commit, argue lookups and contractions, open", watch);

    let watch = Stopwatch::start();
    let verified = key.verifying_key().verify(&file, &Expected::default()).map_err(EngineError::SelfCheck)?;
    let verify = watch.elapsed();
    let (proof_bytes, vk_bytes) = (file.len() as u64, vk.len() as u64);
    Ok(Measured { input, setup, stages, verify, proof_bytes, vk_bytes, peak_bytes: peak_rss_bytes(), verified })
}

fn raw(ports: &[PublicPort], tensors: &[&[i32]]) -> Result<Vec<Vec<u8>>, EngineError> {
    let range = |port: &PublicPort| EngineError::Prove(ProveError::Range(port.name.clone()));
    ports.iter().zip(tensors).map(|(port, &t)| raw_tensor(t, port).ok_or_else(|| range(port))).collect()
}

/// An input of the program's types and shapes that says nothing: pseudo-random integers, floats all one.
pub(crate) fn arbitrary_input(program: &Program) -> Sample {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |value: &Value| {
        if value.quantisation.int_type == IntType::F32 {
            return 1f32.to_bits().cast_signed();
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (lo, hi) = (i64::from(value.quantisation.lo()), i64::from(value.quantisation.hi()));
        let span = (hi - lo + 1).cast_unsigned().max(1);
        i32::try_from(lo + (state % span).cast_signed()).unwrap_or(0)
    };
    let values = program.inputs.iter().filter_map(|port| program.values.get(port.value as usize));
    values.map(|value| (0..value.len()).map(|_| next(value)).collect()).collect()
}
