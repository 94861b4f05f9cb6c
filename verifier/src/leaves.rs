//! Checks the leaf claims of the lookup argument against the columns: recombines the claimed source values into
//! numerators and denominators, and turns every claimed value into an obligation.

use alloc::vec::Vec;

use crate::context::Context;
use crate::error::RejectReason;
use crate::logup::LeafClaims;
use crate::tables::closed_form;
use p3_field::PrimeCharacteristicRing;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::functional::{
    AxisWeight, EvaluationClaim, Functional, column_source, outside_window, real_mass, source_is_claimed, split_point,
};
use vinfer_circuits::mle::{below, below_and_weighted, eq_index};
use vinfer_circuits::system::{Expr, Instance, Layout, LeafOwner, Source, System, TableRows, domain_bits};

/// A claim about a contraction or product at a domain point, to be discharged by the contraction sumcheck.
#[derive(Debug, Clone)]
#[must_use = "a contraction claim must be discharged"]
pub(crate) struct ContractionClaim<E> {
    pub(crate) instance: usize,
    pub(crate) source: usize,
    pub(crate) value: E,
}

/// Everything the leaves leave to prove.
#[derive(Debug)]
#[must_use = "the obligations must be discharged"]
pub(crate) struct Obligations<E> {
    pub(crate) claims: Vec<EvaluationClaim<E>>,
    pub(crate) contractions: Vec<ContractionClaim<E>>,
}

/// The challenges of the fingerprint `alpha + t_0 + beta tag + beta^2 t_1 + beta^3 t_2 + ..`.
#[derive(Debug, Clone)]
pub(crate) struct Fingerprint<E> {
    pub(crate) alpha: E,
    pub(crate) beta: E,
}

/// The last `bits` coordinates of a point.
pub(crate) fn suffix<E>(point: &[E], bits: u32) -> &[E] {
    let bits = usize::try_from(bits).unwrap_or(usize::MAX);
    point.get(point.len().saturating_sub(bits)..).unwrap_or(point)
}

/// Checks the leaf claims; `values` are the claimed values in the order of `Proof::leaf_values`.
pub(crate) fn verify<C: Context>(
    ctx: &C,
    system: &System,
    layout: &Layout,
    fingerprint: &Fingerprint<C::Element>,
    leaves: &LeafClaims<C::Element>,
    values: &[C::Element],
) -> Result<Obligations<C::Element>, RejectReason> {
    let zero = ctx.constant(K::ZERO);
    let mut values = values.iter().cloned();
    let mut next = || values.next().unwrap_or_else(|| zero.clone());
    let mut obligations = Obligations { claims: Vec::new(), contractions: Vec::new() };

    // Sources of every instance at its suffix of the leaf point.
    let mut instance_values = Vec::with_capacity(system.instances.len());
    for (index, instance) in system.instances.iter().enumerate() {
        let point = suffix(&leaves.point, domain_bits(&instance.dims));
        let mut own = Vec::with_capacity(instance.sources.len());
        for (position, source) in instance.sources.iter().enumerate() {
            let value = if source_is_claimed(source) { next() } else { zero.clone() };
            own.push(match source {
                Source::Column { column, maps } => {
                    let (functional, factor) = column_source(ctx, system, instance, *column, maps, point);
                    obligations.claims.push(EvaluationClaim { functional, value: value.clone() });
                    factor * value
                }
                Source::Contraction { .. } | Source::Product { .. } => {
                    let claim = ContractionClaim { instance: index, source: position, value: value.clone() };
                    obligations.contractions.push(claim);
                    value
                }
                Source::OutsideWindow { axis, stride, offset, size } => {
                    let window = (*stride, i64::from(*offset), *size);
                    outside_window(ctx, &instance.dims, point, *axis, window)
                }
            });
        }
        instance_values.push(own);
    }
    // Table columns and multiplicities.
    let mut table_values = Vec::with_capacity(system.tables.len());
    for table in &system.tables {
        let rows = system.table_rows(&table.rows);
        let point = suffix(&leaves.point, vinfer_circuits::mle::index_bits(rows));
        let mut claim = |column: u32, value: C::Element| {
            let functional = Functional { column, axes: alloc::vec![AxisWeight::Eq(point.to_vec())] };
            obligations.claims.push(EvaluationClaim { functional, value });
        };
        let tuple = match &table.rows {
            TableRows::Columns { columns } => columns
                .iter()
                .map(|&column| {
                    let value = next();
                    claim(column, value.clone());
                    value
                })
                .collect(),
            closed => closed_form(ctx, closed, point),
        };
        let multiplicity = next();
        claim(table.multiplicity, multiplicity.clone());
        table_values.push((tuple, multiplicity));
    }

    let one = ctx.constant(K::ONE);
    let mut numerator = zero.clone();
    let mut denominator = one.clone();
    for segment in &layout.leaves {
        let own = suffix(&leaves.point, segment.bits);
        let prefix_len = leaves.point.len().saturating_sub(own.len());
        let prefix = leaves.point.get(..prefix_len).unwrap_or(&[]);
        let selector = eq_index(ctx, segment.offset.checked_shr(segment.bits).unwrap_or(0), prefix);
        let (mass, table, fraction, tuple) = match segment.owner {
            LeafOwner::Lookup { instance, lookup } => {
                let (Some(inst), Some(sources)) = (system.instances.get(instance), instance_values.get(instance))
                else {
                    continue;
                };
                let Some(argument) = inst.lookups.get(lookup) else { continue };
                let outer = split_point(&inst.dims, own).first().copied().unwrap_or(&[]);
                let mass = below(ctx, outer, inst.dims.first().map_or(1, |&d| u64::from(d)));
                let tuple = argument.tuple.iter().map(|e| evaluate(ctx, e, inst, sources, own)).collect();
                (mass.clone(), u64::from(argument.table), mass, tuple)
            }
            LeafOwner::Table { table } => {
                let (Some(t), Some((tuple, multiplicity))) = (system.tables.get(table), table_values.get(table)) else {
                    continue;
                };
                let mass = below(ctx, own, system.table_rows(&t.rows));
                let tag = u64::try_from(table).unwrap_or(u64::MAX);
                (mass, tag, zero.clone() - multiplicity.clone(), tuple.clone())
            }
        };
        numerator = numerator + selector.clone() * fraction;
        let print = fingerprint_value(ctx, fingerprint, table, mass.clone(), &tuple);
        denominator = denominator + selector * (print - mass);
    }
    ctx.require_equal(&numerator, &leaves.numerator, RejectReason::LeafNumerator)?;
    ctx.require_equal(&denominator, &leaves.denominator, RejectReason::LeafDenominator)?;
    Ok(obligations)
}

/// `mass * (alpha + beta * tag) + t_0 + beta^2 t_1 + ..`; tags start at 1.
fn fingerprint_value<C: Context>(
    ctx: &C,
    fingerprint: &Fingerprint<C::Element>,
    table: u64,
    mass: C::Element,
    tuple: &[C::Element],
) -> C::Element {
    let tag = ctx.constant(K::from(F::from_u64(table.saturating_add(1))));
    let beta = &fingerprint.beta;
    let mut sum = mass * (fingerprint.alpha.clone() + beta.clone() * tag);
    let mut power = beta.clone() * beta.clone();
    for (position, component) in tuple.iter().enumerate() {
        if position == 0 {
            sum = sum + component.clone();
        } else {
            sum = sum + power.clone() * component.clone();
            power = power * beta.clone();
        }
    }
    sum
}

fn evaluate<C: Context>(
    ctx: &C,
    expr: &Expr,
    instance: &Instance,
    sources: &[C::Element],
    point: &[C::Element],
) -> C::Element {
    let constant = |v: u64| ctx.constant(K::from(F::from_u64(v)));
    let mut sum = constant(0);
    for (coefficient, source) in &expr.terms {
        if let Some(value) = sources.get(usize::from(*source)) {
            sum = sum + constant(*coefficient) * value.clone();
        }
    }
    if expr.constant != 0 || expr.index_coefficient != 0 {
        let coordinates = split_point(&instance.dims, point);
        let inner = real_mass(ctx, &instance.dims, &coordinates, |axis| axis > 0);
        let outer = coordinates.first().copied().unwrap_or(&[]);
        let size = instance.dims.first().map_or(1, |&d| u64::from(d));
        let (mass, weighted) = below_and_weighted(ctx, outer, size);
        sum = sum + inner * (constant(expr.constant) * mass + constant(expr.index_coefficient) * weighted);
    }
    sum
}
