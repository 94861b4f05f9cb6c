//! Proving: execute, fill the witness, commit, and run every argument of the protocol in order.

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use rayon::prelude::*;
use tracing::info_span;
use vinfer_circuits::arithmetic::Native;
use vinfer_circuits::codec::Writer;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::functional::{
    AxisWeight, EvaluationClaim, Functional, add_row_weights, column_source, source_is_claimed, split_point,
};
use vinfer_circuits::mle::{eq_table, index_bits};
use vinfer_circuits::program::batch::join;
use vinfer_circuits::proof::Proof;
use vinfer_circuits::statement::{Statement, raw_tensor};
use vinfer_circuits::system::{Home, LeafOwner, PublicPort, Source, TableRows, domain_bits};
use vinfer_circuits::transcript::Transcript;
use vinfer_verifier::seed_transcript;

use crate::commit::commit_base;
use crate::contraction::{self, Factors};
use crate::evaluate::evaluate;
use crate::execute::{ExecuteError, check_inputs, run};
use crate::kernels::add_scaled;
use crate::keys::{ProvingKey, place};
use crate::logup::{self, Leaves};
use crate::multiplicities::count_multiplicities;
use crate::opening::{self, Opened};
use crate::witness::{Witness, real_positions};

/// Leaves handled by one task.
const LEAVES_PER_TASK: usize = 1 << 13;

/// Why a proof cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The inputs do not fit.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Another number of samples than the key proves.
    #[error(
        "the key proves {batch} inferences at once, not {given}: give {batch} samples, or make keys for {given} \
         (`vinfer setup --batch {given}`)"
    )]
    Batch {
        /// Inferences in a proof of the key.
        batch: u32,
        /// Samples given.
        given: usize,
    },
    /// A public value is outside its type (a defect of the compiler).
    #[error("internal error: tensor `{0}` left its integer type; please report the model")]
    Range(String),
    /// The execution does not satisfy the model's own relations (a defect of the compiler).
    #[error("internal error: lookup {lookup} of instance {instance} has no table row; please report the model")]
    Unsatisfied {
        /// Instance index.
        instance: usize,
        /// Lookup index.
        lookup: usize,
    },
}

/// A finished proof.
#[derive(Debug, Clone)]
pub struct Proved {
    /// Proof file.
    pub proof: Vec<u8>,
    /// Centred output tensors.
    pub outputs: Vec<Vec<i32>>,
    /// Statement digest.
    pub statement: [u8; 32],
    /// Digest of each inference.
    pub inferences: Vec<[u8; 32]>,
}

/// Proves a batch: `samples[i]` holds one centred tensor per input port. The key's batch is the number of samples.
///
/// # Errors
/// [`ProveError`].
pub fn prove_batch(key: &ProvingKey, samples: &[Vec<Vec<i32>>], context: [u8; 32]) -> Result<Proved, ProveError> {
    if samples.len() != key.batch() as usize {
        return Err(ProveError::Batch { batch: key.batch(), given: samples.len() });
    }
    for sample in samples {
        check_inputs(key.program(), sample)?;
    }
    prove(key, &join(samples), context)
}

/// Proves one inference on centred inputs (one tensor per input port), bound to the caller's context. With a key of a
/// batch, each tensor holds the samples one after the other; so do the outputs.
///
/// # Errors
/// [`ProveError`].
pub fn prove(key: &ProvingKey, inputs: &[Vec<i32>], context: [u8; 32]) -> Result<Proved, ProveError> {
    let execution = info_span!("execute").in_scope(|| run(key.proven(), inputs))?;
    let outputs: Vec<Vec<i32>> =
        key.proven().outputs.iter().map(|p| execution.trace[p.value as usize].clone()).collect();
    let statement = statement(key, inputs, &outputs, context)?;
    let mut witness = info_span!("witness").in_scope(|| Witness::new(key, &execution));
    let missing = info_span!("multiplicities").in_scope(|| count_multiplicities(key, &mut witness));
    if let Some((instance, lookup)) = missing {
        return Err(ProveError::Unsatisfied { instance, lookup });
    }
    let proof = prove_witness(key, &statement, &witness);
    let mut writer = Writer::new();
    statement.encode(&mut writer);
    proof.encode(&mut writer);
    let digest = statement.digest(key.key.key());
    let inferences = statement.inferences(key.key.key());
    Ok(Proved { proof: writer.finish(), outputs, statement: digest, inferences })
}

/// The statement of an execution.
pub(crate) fn statement(
    key: &ProvingKey,
    inputs: &[Vec<i32>],
    outputs: &[Vec<i32>],
    context: [u8; 32],
) -> Result<Statement, ProveError> {
    let raw = |ports: &[PublicPort], tensors: &[Vec<i32>]| {
        ports
            .iter()
            .zip(tensors)
            .map(|(port, t)| raw_tensor(t, port).ok_or_else(|| ProveError::Range(port.name.clone())))
            .collect::<Result<Vec<_>, _>>()
    };
    let system = &key.lowered.system;
    Ok(Statement {
        key_digest: key.key.digest(),
        context,
        inputs: raw(&system.inputs, inputs)?,
        outputs: raw(&system.outputs, outputs)?,
    })
}

/// Runs the protocol on a filled witness. A witness that does not satisfy the system gives a proof that does not verify.
pub fn prove_witness(key: &ProvingKey, statement: &Statement, witness: &Witness) -> Proof {
    let system = &witness.system;
    let layout = &key.lowered.layout;
    let schedule = key.key.schedule();

    // Commit the witness.
    let mut vector = vec![F::ZERO; 1 << layout.witness_bits];
    for (column, c) in system.columns.iter().enumerate() {
        if c.home == Home::Witness {
            place(system, layout, column, &witness.columns[column], &mut vector);
        }
    }
    let committed = info_span!("commit").in_scope(|| commit_base(&vector, &schedule.witness));
    let witness_root = committed.tree.root();
    let digest = statement.digest(key.key.key());
    let mut transcript = seed_transcript(key.key.key(), &key.key.digest(), &digest, &witness_root);

    // Lookups.
    let beta = transcript.challenge("lookup beta");
    let alpha = transcript.challenge("lookup alpha");
    let leaves = info_span!("leaves").in_scope(|| leaf_layer(key, witness, alpha, beta));
    let (logup, leaf_point) =
        info_span!("lookups").in_scope(|| logup::prove(leaves, layout.leaf_bits, &mut transcript));

    // Source values at the leaf point.
    let (leaf_values, mut claims) = info_span!("leaf values").in_scope(|| leaf_claims(key, witness, &leaf_point));
    transcript.absorb("leaf values", &leaf_values);

    // Contractions.
    let (contractions, more) =
        info_span!("contractions").in_scope(|| prove_contractions(key, witness, &leaf_point, &mut transcript));
    claims.extend(more);
    claims.retain(|c| system.columns[c.functional.column as usize].home != Home::Public);

    // Openings.
    let (own, constants) = (
        Opened { vector: &vector, committed: &committed },
        Opened { vector: &key.constants, committed: &key.committed },
    );
    let opening = info_span!("opening")
        .in_scope(|| opening::prove(schedule, system, layout, &claims, &own, &constants, &mut transcript));
    Proof { witness_root, logup, leaf_values, contractions, opening }
}

fn suffix(point: &[K], bits: u32) -> &[K] {
    &point[point.len() - bits as usize..]
}

/// Numerators and denominators of all leaves.
fn leaf_layer(key: &ProvingKey, witness: &Witness, alpha: K, beta: K) -> Leaves {
    let system = &key.lowered.system;
    let layout = &key.lowered.layout;
    let len = layout.leaf_len as usize;
    let mut leaves = Leaves { numerators: vec![F::ZERO; len], low: vec![F::ONE; len], high: vec![F::ZERO; len] };
    let mut sources: Option<(usize, Vec<Vec<F>>)> = None;
    for segment in &layout.leaves {
        let range = segment.offset as usize..(segment.offset + segment.len) as usize;
        let mut denominators =
            Denominators { low: &mut leaves.low[range.clone()], high: &mut leaves.high[range.clone()] };
        match segment.owner {
            LeafOwner::Lookup { instance, lookup } => {
                let inst = &system.instances[instance];
                if sources.as_ref().is_none_or(|(of, _)| *of != instance) {
                    sources = Some((instance, witness.sources(key, instance)));
                }
                let argument = &inst.lookups[lookup];
                leaves.numerators[range].fill(F::ONE);
                denominators.fill(alpha + beta * F::from_u64(u64::from(argument.table) + 1));
                let mut weights = vec![K::ZERO; inst.sources.len()];
                let (mut constant, mut slope) = (K::ZERO, K::ZERO);
                for (expr, power) in argument.tuple.iter().zip(tuple_weights(beta)) {
                    for &(coefficient, source) in &expr.terms {
                        weights[source as usize] += power * F::from_u64(coefficient);
                    }
                    constant += power * F::from_u64(expr.constant);
                    slope += power * F::from_u64(expr.index_coefficient);
                }
                if let Some((_, sources)) = &sources {
                    for (source, &weight) in sources.iter().zip(&weights).filter(|(_, w)| **w != K::ZERO) {
                        denominators.add(source, weight);
                    }
                }
                denominators.add_affine(&inst.dims, constant, slope);
            }
            LeafOwner::Table { table } => {
                let t = &system.tables[table];
                denominators.fill(alpha + beta * F::from_u64(table as u64 + 1));
                for (values, power) in table_tuples(key, &t.rows).iter().zip(tuple_weights(beta)) {
                    denominators.add(values, power);
                }
                let counts = &witness.columns[t.multiplicity as usize];
                for (slot, &count) in leaves.numerators[range].iter_mut().zip(counts) {
                    *slot = -count;
                }
            }
        }
    }
    leaves
}

/// Weights of the components of a tuple: 1, then `beta^2, beta^3, ..`; `beta` itself is the table's.
fn tuple_weights(beta: K) -> impl Iterator<Item = K> {
    std::iter::once(K::ONE).chain(std::iter::successors(Some(beta.square()), move |&power| Some(power * beta)))
}

/// The denominators of one segment of leaves, as two coordinates.
struct Denominators<'a> {
    low: &'a mut [F],
    high: &'a mut [F],
}

impl Denominators<'_> {
    fn fill(&mut self, value: K) {
        let [low, high] = parts(value);
        self.low.fill(low);
        self.high.fill(high);
    }

    /// Adds `weight * values[i]`.
    fn add(&mut self, values: &[F], weight: K) {
        let [low, high] = parts(weight);
        let values = &values[..self.low.len().min(values.len())];
        for (target, weight) in [(&mut *self.low, low), (&mut *self.high, high)] {
            if weight != F::ZERO {
                target
                    .par_chunks_mut(LEAVES_PER_TASK)
                    .zip(values.par_chunks(LEAVES_PER_TASK))
                    .for_each(|(target, values)| add_scaled(target, values, weight));
            }
        }
    }

    /// Adds `constant + slope * first index` at the real positions of a domain.
    fn add_affine(&mut self, dims: &[u32], constant: K, slope: K) {
        if constant == K::ZERO && slope == K::ZERO {
            return;
        }
        let inner = domain_bits(&dims[1..]);
        let rows = real_positions(&dims[1..]);
        for outer in 0..u64::from(dims[0]) {
            let [low, high] = parts(constant + slope * F::from_u64(outer));
            let start = (outer as usize) << inner;
            for &at in &rows {
                self.low[start + at] += low;
                self.high[start + at] += high;
            }
        }
    }
}

fn parts(k: K) -> [F; 2] {
    let c: &[F] = k.as_basis_coefficients_slice();
    [c[0], c[1]]
}

/// All rows of a table, component by component.
fn table_tuples(key: &ProvingKey, rows: &TableRows) -> Vec<Vec<F>> {
    use vinfer_circuits::field::from_i64;
    let signed = |bits: u8| -(1i64 << (bits - 1))..1i64 << (bits - 1);
    match rows {
        TableRows::Range { bits } => vec![(0..1u64 << bits).map(F::from_u64).collect()],
        TableRows::Clamp { bits, fraction_bits, lo, hi } => {
            let (lo, hi) = (i64::from(*lo), i64::from(*hi));
            let y = signed(*bits).map(|v| from_i64((v >> fraction_bits).clamp(lo, hi)));
            vec![signed(*bits).map(from_i64).collect(), y.collect()]
        }
        TableRows::ParityClamp { bits, lo, hi } => {
            let (lo, hi) = (i64::from(*lo), i64::from(*hi));
            vec![
                signed(*bits).map(from_i64).collect(),
                signed(*bits).map(|w| from_i64(w & 1)).collect(),
                signed(*bits).map(|w| from_i64(w.clamp(lo, hi))).collect(),
            ]
        }
        TableRows::Columns { columns } => columns.iter().map(|&c| key.constant_columns[c as usize].clone()).collect(),
    }
}

/// Values of all claimed sources, table columns and multiplicities, and the claims on columns they make.
fn leaf_claims(key: &ProvingKey, witness: &Witness, point: &[K]) -> (Vec<K>, Vec<EvaluationClaim<K>>) {
    let system = &witness.system;
    let mut values = Vec::new();
    let mut claims = Vec::new();
    let mut claim = |values: &mut Vec<K>, functional: Functional<K>| {
        let dims = &system.columns[functional.column as usize].dims;
        let axes = functional.dense_axes(&Native, dims);
        let value = evaluate(witness.cells(key, functional.column), &axes);
        values.push(value);
        claims.push(EvaluationClaim { functional, value });
    };
    for (index, instance) in system.instances.iter().enumerate() {
        let own = suffix(point, domain_bits(&instance.dims));
        for (position, source) in instance.sources.iter().enumerate() {
            match source {
                Source::Column { column, maps } => {
                    let (functional, _) = column_source(&Native, system, instance, *column, maps, own);
                    claim(&mut values, functional);
                }
                Source::Contraction { .. } => {
                    let cells = witness.contractions[index].iter().find(|(s, _)| *s as usize == position);
                    // The values are a tensor over the domain itself; its column number does not matter.
                    let coordinates = split_point(&instance.dims, own);
                    let weights = coordinates.iter().map(|p| AxisWeight::Eq(p.to_vec())).collect();
                    let axes = Functional { column: 0, axes: weights }.dense_axes(&Native, &instance.dims);
                    values.push(cells.map_or(K::ZERO, |(_, cells)| evaluate(cells, &axes)));
                }
                Source::Product { .. } => {
                    let cells = witness.source(key, index, position);
                    values.push(evaluate_padded(&instance.dims, &cells, own));
                }
                Source::OutsideWindow { .. } => debug_assert!(!source_is_claimed(source)),
            }
        }
    }
    for table in &system.tables {
        let own = suffix(point, index_bits(system.table_rows(&table.rows)));
        let columns = if let TableRows::Columns { columns } = &table.rows { columns.as_slice() } else { &[] };
        for &column in columns.iter().chain([&table.multiplicity]) {
            claim(&mut values, Functional { column, axes: vec![AxisWeight::Eq(own.to_vec())] });
        }
    }
    (values, claims)
}

/// The multilinear extension of values over a padded domain.
fn evaluate_padded(dims: &[u32], cells: &[F], point: &[K]) -> K {
    let bits = index_bits(u64::from(dims[0])) as usize;
    let inner = eq_table(&Native, &point[bits..]);
    let outer = eq_table(&Native, &point[..bits]);
    evaluate(cells, &[outer[..dims[0] as usize].to_vec(), inner])
}

fn prove_contractions(
    key: &ProvingKey,
    witness: &Witness,
    leaf_point: &[K],
    transcript: &mut Transcript,
) -> (vinfer_circuits::proof::ContractionProof, Vec<EvaluationClaim<K>>) {
    let system = &key.lowered.system;
    let mu = transcript.challenge("contraction batch");
    let dims = |column: u32| system.columns[column as usize].dims.as_slice();
    let mut row_weights: Vec<Vec<K>> =
        system.contractions.iter().map(|c| vec![K::ZERO; dims(c.weights)[c.row_axis()] as usize]).collect();
    let mut product_scales = vec![K::ZERO; system.products.len()];
    let mut scale = K::ONE;
    for instance in &system.instances {
        for source in &instance.sources {
            if let Source::Contraction { contraction, rows } = source {
                let own = suffix(leaf_point, domain_bits(&instance.dims));
                let outer = split_point(&instance.dims, own)[0];
                add_row_weights(&Native, &mut row_weights[*contraction as usize], rows, outer, &scale);
                scale *= mu;
            } else if let Source::Product { product } = source {
                product_scales[*product as usize] = scale;
                scale *= mu;
            }
        }
    }
    let mut factors: Vec<Factors> = system
        .contractions
        .iter()
        .zip(&row_weights)
        .map(|(c, rows)| {
            let position = suffix(leaf_point, domain_bits(&c.positions));
            let weights = witness.cells(key, c.weights);
            let input = witness.cells(key, c.input);
            Factors::new(c, weights, dims(c.weights), rows, input, dims(c.input), position)
        })
        .collect();
    factors.extend(system.products.iter().zip(product_scales).map(|(p, scale)| {
        let cells = [&p.a, &p.b].map(|f| witness.cells(key, f.column));
        Factors::of_product(system, p, cells, suffix(leaf_point, domain_bits(&p.dims)), scale)
    }));
    let (proof, point) = contraction::prove(factors, transcript);
    let mut claims = Vec::new();
    for ((c, rows), values) in system.contractions.iter().zip(&row_weights).zip(&proof.factors) {
        let own = suffix(&point, c.summed_bits());
        let position = suffix(leaf_point, domain_bits(&c.positions));
        claims.push(EvaluationClaim { functional: c.weights_functional(&Native, rows, own), value: values[0] });
        let functional = c.input_functional(&Native, dims(c.input), position, own);
        claims.push(EvaluationClaim { functional, value: values[1] });
    }
    let pairs = &proof.factors[system.contractions.len()..];
    for (p, values) in system.products.iter().zip(pairs) {
        let domain = suffix(leaf_point, domain_bits(&p.dims));
        let functionals = p.functionals(&Native, system, domain, suffix(&point, p.shared_bits()));
        let claim = |(functional, &value)| EvaluationClaim { functional, value };
        claims.extend(functionals.into_iter().zip(values).map(claim));
    }
    (proof, claims)
}
