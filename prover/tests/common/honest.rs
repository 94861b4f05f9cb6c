//! An honest proof in all its parts, for tests that then change one of them.

use std::sync::OnceLock;

use vinfer_circuits::codec::{Reader, Writer};
use vinfer_circuits::field::F;
use vinfer_circuits::lower::lower;
use vinfer_circuits::program::Program;
use vinfer_circuits::proof::Proof;
use vinfer_circuits::statement::{Statement, raw_tensor};
use vinfer_circuits::system::PublicPort;
use vinfer_prover::execute::run;
use vinfer_prover::{ProvingKey, Witness, count_multiplicities, prove_witness, setup_batch};
use vinfer_verifier::{PreparedKey, RejectReason};

/// A model with one honest execution.
pub(crate) struct Honest {
    pub(crate) key: ProvingKey,
    pub(crate) vk: Vec<u8>,
    pub(crate) verifier: PreparedKey,
    pub(crate) inputs: Vec<Vec<i32>>,
    pub(crate) outputs: Vec<Vec<i32>>,
    pub(crate) statement: Statement,
    pub(crate) witness: Witness,
    constants: OnceLock<Vec<(u32, Vec<F>)>>,
}

pub(crate) const CONTEXT: [u8; 32] = [7; 32];

/// The statement about centred tensors.
pub(crate) fn statement(key: &PreparedKey, inputs: &[Vec<i32>], outputs: &[Vec<i32>]) -> Statement {
    let raw = |ports: &[PublicPort], tensors: &[Vec<i32>]| -> Vec<Vec<u8>> {
        let tensor = |(p, t): (&PublicPort, &Vec<i32>)| raw_tensor(t, p).unwrap();
        ports.iter().zip(tensors).map(tensor).collect()
    };
    let system = &key.key().system;
    Statement {
        key_digest: key.digest(),
        context: CONTEXT,
        inputs: raw(&system.inputs, inputs),
        outputs: raw(&system.outputs, outputs),
    }
}

impl Honest {
    pub(crate) fn new(program: &Program, inputs: Vec<Vec<i32>>) -> Self {
        Self::batch(program, 1, inputs)
    }

    /// A batch of `count`; each input holds its samples one after the other.
    pub(crate) fn batch(program: &Program, count: u32, inputs: Vec<Vec<i32>>) -> Self {
        let (key, vk) = setup_batch(program, count).unwrap();
        let program = key.proven();
        let verifier = PreparedKey::from_bytes(&vk).unwrap();
        let execution = run(program, &inputs).unwrap();
        let outputs: Vec<Vec<i32>> =
            program.outputs.iter().map(|p| execution.trace[p.value as usize].clone()).collect();
        let statement = statement(&verifier, &inputs, &outputs);
        let mut witness = Witness::new(&key, &execution);
        assert_eq!(count_multiplicities(&key, &mut witness), None);
        Self { key, vk, verifier, inputs, outputs, statement, witness, constants: OnceLock::new() }
    }

    /// Cells of the constant columns (the proving key keeps them to itself; lowering again gives the same).
    pub(crate) fn constants(&self) -> &[(u32, Vec<F>)] {
        self.constants.get_or_init(|| lower(self.key.proven()).unwrap().constants)
    }

    /// A proof of the statement, from the honest witness.
    pub(crate) fn proof(&self) -> Proof {
        prove_witness(&self.key, &self.statement, &self.witness)
    }

    /// What a verifier says to a proof made from any witness for any statement.
    pub(crate) fn judge(&self, statement: &Statement, witness: &Witness) -> Result<[u8; 32], RejectReason> {
        self.verifier.verify_proof(statement, &prove_witness(&self.key, statement, witness))
    }
}

/// Proof file bytes.
pub(crate) fn encode(statement: &Statement, proof: &Proof) -> Vec<u8> {
    let mut writer = Writer::new();
    statement.encode(&mut writer);
    proof.encode(&mut writer);
    writer.finish()
}

/// Statement and proof of a file.
pub(crate) fn decode(key: &PreparedKey, file: &[u8]) -> (Statement, Proof) {
    let mut reader = Reader::new(file);
    let statement = Statement::decode(&mut reader, &key.key().system).unwrap();
    let proof = Proof::decode(&mut reader, key.shape()).unwrap();
    reader.finish().unwrap();
    (statement, proof)
}
