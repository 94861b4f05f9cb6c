//! Walks the transcript of a proof as `circuits/PROTOCOL.md` prescribes it, records every step, and redoes the opening
//! from the committed vectors, with or without cheating.

use p3_field::PrimeCharacteristicRing;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::proof::{OpenedRows, Proof};
use vinfer_circuits::schedule::Oracle;
use vinfer_circuits::statement::Statement;
use vinfer_circuits::system::{Home, domain_bits};
use vinfer_circuits::transcript::Transcript;
use vinfer_prover::commit::{Committed, commit_base, commit_ext};
use vinfer_prover::merkle::{Cell, grind};
use vinfer_verifier::seed_transcript;

use super::honest::Honest;

/// A transcript that remembers its steps: `+label` absorbed, `?label` challenged.
pub(crate) struct Recorder {
    pub(crate) transcript: Transcript,
    pub(crate) log: Vec<String>,
    pub(crate) challenges: Vec<K>,
}

impl Recorder {
    pub(crate) fn absorb(&mut self, label: &str, values: &[K]) {
        self.transcript.absorb(label, values);
        self.log.push(format!("+{label}"));
    }

    pub(crate) fn challenge(&mut self, label: &str) -> K {
        self.log.push(format!("?{label}"));
        let challenge = self.transcript.challenge(label);
        self.challenges.push(challenge);
        challenge
    }

    fn round<const N: usize>(&mut self, label: &str, message: &[K; N]) -> K {
        self.absorb(label, message);
        self.challenge(label)
    }

    fn root(&mut self, root: &[u8; 32]) {
        self.transcript.absorb_bytes("folded root", root);
        self.log.push("+folded root".to_owned());
    }

    fn work(&mut self, bits: u32) -> u64 {
        let nonce = grind(&self.transcript, bits);
        self.transcript.absorb_nonce(nonce);
        self.log.push("+nonce".to_owned());
        nonce
    }

    fn positions(&mut self, oracle: &Oracle) -> Vec<u64> {
        let mut positions = self.transcript.indices("query positions", oracle.queries as usize, oracle.domain_bits());
        self.log.push("?query positions".to_owned());
        positions.sort_unstable();
        positions.dedup();
        positions
    }
}

/// The transcript of a proof up to its opening.
pub(crate) fn before_opening(honest: &Honest, statement: &Statement, proof: &Proof) -> Recorder {
    let key = honest.verifier.key();
    let digest = statement.digest(key);
    let transcript = seed_transcript(key, &honest.verifier.digest(), &digest, &proof.witness_root);
    let mut r = Recorder { transcript, log: Vec::new(), challenges: Vec::new() };
    let _ = r.challenge("lookup beta");
    let _ = r.challenge("lookup alpha");
    r.absorb("logup root", &[proof.logup.root_denominator]);
    for layer in &proof.logup.layers {
        let _ = r.challenge("logup combine");
        for message in &layer.rounds {
            let _ = r.round("logup round", message);
        }
        r.absorb("logup children", &layer.children);
        let _ = r.challenge("logup child");
    }
    r.absorb("leaf values", &proof.leaf_values);
    let _ = r.challenge("contraction batch");
    for message in &proof.contractions.rounds {
        let _ = r.round("contraction round", message);
    }
    r.absorb("contraction factors", proof.contractions.factors.as_flattened());
    r
}

/// Where the opening is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cheat {
    /// Nowhere.
    Nothing,
    /// A cell of the vector behind a folded oracle.
    FoldedVector(usize, usize),
    /// A cell of the last vector.
    FinalVector(usize),
    /// A message of the first rounds.
    Round(usize),
    /// A message of the rounds of a folded oracle.
    FoldedRound(usize, usize),
    /// A row of the witness is opened instead of the one queried; its neighbour's row, with its own siblings.
    ShiftedPositions,
}

/// A committed vector of the honest witness or the constants.
fn vector(honest: &Honest, home: Home, bits: u32) -> Vec<F> {
    let lowered = honest.key.lowered();
    let mut columns = honest.witness.columns.clone();
    for (column, cells) in honest.constants() {
        columns[*column as usize].clone_from(cells);
    }
    let mut vector = vec![F::ZERO; 1 << bits];
    for (id, column) in lowered.system.columns.iter().enumerate().filter(|(_, c)| c.home == home) {
        for (index, &cell) in super::tiny::interpreter::indices(&column.dims).iter().zip(&columns[id]) {
            let padded = |at: usize, (&d, &i): (&u32, &u32)| (at << domain_bits(&[d])) + i as usize;
            let at = column.dims.iter().zip(index).fold(0, padded);
            vector[lowered.layout.offsets[id] as usize + at] = cell;
        }
    }
    vector
}

fn fold(values: &[K], r: K) -> Vec<K> {
    values.chunks(2).map(|p| p[0] + r * (p[1] - p[0])).collect()
}

fn open<T: Cell>(committed: &Committed<T>, oracle: &Oracle, positions: &[u64]) -> OpenedRows<T> {
    committed.tree.open(&committed.codeword, 1 << oracle.fold, positions)
}

/// Redoes the opening of a proof with its own round messages, valid proofs of work and valid openings of every oracle
/// at the positions that the transcript asks for. Without a cheat, the result is the honest proof.
pub(crate) fn reopen(honest: &Honest, proof: &Proof, cheat: Cheat) -> (Proof, Recorder) {
    let schedule = honest.verifier.schedule();
    let mut out = proof.clone();
    let mut r = before_opening(honest, &honest.statement, proof);
    let _ = r.challenge("opening batch");
    if let Cheat::Round(at) = cheat {
        out.opening.rounds[at][0] += K::ONE;
    }
    let mut parts = [(Home::Witness, &schedule.witness), (Home::Constants, &schedule.constants)]
        .map(|(home, oracle)| vector(honest, home, oracle.bits).into_iter().map(K::from).collect::<Vec<K>>());
    let initial = [(Home::Witness, &schedule.witness), (Home::Constants, &schedule.constants)]
        .map(|(home, oracle)| commit_base(&vector(honest, home, oracle.bits), oracle));
    assert_eq!(initial[0].tree.root(), proof.witness_root);
    assert_eq!(initial[1].tree.root(), honest.verifier.key().constants_root);
    for message in &out.opening.rounds {
        let challenge = r.round("opening round", message);
        parts = parts.map(|p| fold(&p, challenge));
    }
    let mut values = vec![K::ZERO; 1 << schedule.stacked_bits()];
    for (part, constants) in parts.iter().zip([false, true]) {
        let at = schedule.stack_offset(constants) as usize;
        values[at..at + part.len()].copy_from_slice(part);
    }
    let shift = |oracle: &Oracle, positions: &[u64]| -> Vec<u64> {
        let mut shifted: Vec<u64> = positions.to_vec();
        if cheat == Cheat::ShiftedPositions {
            let free = (0..1 << oracle.domain_bits()).find(|p| !positions.contains(p)).unwrap();
            shifted[0] = free;
            shifted.sort_unstable();
        }
        shifted
    };
    let open_initial = |r: &mut Recorder, out: &mut Proof| {
        let positions = r.positions(&schedule.witness);
        out.opening.witness = open(&initial[0], &schedule.witness, &shift(&schedule.witness, &positions));
        let positions = r.positions(&schedule.constants);
        out.opening.constants = open(&initial[1], &schedule.constants, &positions);
    };
    let mut committed: Vec<Committed<K>> = Vec::new();
    for (i, oracle) in schedule.folded.iter().enumerate() {
        if let Cheat::FoldedVector(at, cell) = cheat
            && at == i
        {
            values[cell] += K::ONE;
        }
        committed.push(commit_ext(&values, oracle));
        out.opening.folded[i].root = committed[i].tree.root();
        r.root(&committed[i].tree.root());
        out.opening.folded[i].nonce = r.work(schedule.grinding_bits);
        if i == 0 {
            open_initial(&mut r, &mut out);
        } else {
            let positions = r.positions(&schedule.folded[i - 1]);
            out.opening.folded[i - 1].opened = open(&committed[i - 1], &schedule.folded[i - 1], &positions);
        }
        let _ = r.challenge("query batch");
        if let Cheat::FoldedRound(at, round) = cheat
            && at == i
        {
            out.opening.folded[i].rounds[round][1] += K::ONE;
        }
        for message in &out.opening.folded[i].rounds {
            let challenge = r.round("opening round", message);
            values = fold(&values, challenge);
        }
    }
    if let Cheat::FinalVector(cell) = cheat {
        values[cell] += K::ONE;
    }
    r.absorb("final vector", &values);
    out.opening.final_vector = values;
    out.opening.final_nonce = r.work(schedule.grinding_bits);
    match schedule.folded.len().checked_sub(1) {
        None => open_initial(&mut r, &mut out),
        Some(last) => {
            let positions = r.positions(&schedule.folded[last]);
            out.opening.folded[last].opened = open(&committed[last], &schedule.folded[last], &positions);
        }
    }
    for message in &out.opening.final_rounds {
        let _ = r.round("opening round", message);
    }
    (out, r)
}
