//! The batched contraction sumcheck: every claimed value of a contraction becomes two claims, on its weights and its
//! input, and every claimed value of a product two claims on its factors.
//!
//! Contraction c has n_c summed variables (a product: those of the axes that both factors read), the batch N = max n_c. Each is extended by N - n_c variables on which it does
//! not depend, most significant first, so its claim is scaled by 2^(N - n_c) and it uses the last n_c coordinates.

use alloc::vec;
use alloc::vec::Vec;

use crate::context::Context;
use crate::error::RejectReason;
use crate::leaves::{ContractionClaim, suffix};
use crate::sumcheck::reduce;
use p3_field::PrimeCharacteristicRing;
use vinfer_circuits::field::K;
use vinfer_circuits::functional::{EvaluationClaim, add_row_weights, split_point};
use vinfer_circuits::mle::power_of_two;
use vinfer_circuits::proof::ContractionProof;
use vinfer_circuits::system::{Source, System, domain_bits};

/// Discharges all contraction claims into claims on columns.
pub(crate) fn verify<C: Context>(
    ctx: &mut C,
    system: &System,
    leaf_point: &[C::Element],
    claims: &[ContractionClaim<C::Element>],
    proof: &ContractionProof,
) -> Result<Vec<EvaluationClaim<C::Element>>, RejectReason> {
    let mu = ctx.challenge("contraction batch");
    let zero = ctx.constant(K::ZERO);
    let mut row_weights: Vec<Vec<C::Element>> = system
        .contractions
        .iter()
        .map(|c| {
            let dims = system.columns.get(index(c.weights)).map_or(&[][..], |w| &w.dims);
            let rows = dims.get(c.row_axis()).copied().unwrap_or(0);
            vec![zero.clone(); index(rows)]
        })
        .collect();
    // Every product serves exactly one claim (validated with the key).
    let mut product_scales: Vec<C::Element> = vec![zero.clone(); system.products.len()];
    let rounds = proof.rounds.len();
    let mut total = zero.clone();
    let mut scale = ctx.constant(K::ONE);
    for claim in claims {
        let Some(instance) = system.instances.get(claim.instance) else { continue };
        let bits = match instance.sources.get(claim.source) {
            Some(Source::Contraction { contraction, rows }) => {
                let Some(target) = system.contractions.get(index(*contraction)) else { continue };
                let point = suffix(leaf_point, domain_bits(&instance.dims));
                let outer = split_point(&instance.dims, point).first().copied().unwrap_or(&[]);
                if let Some(weights) = row_weights.get_mut(index(*contraction)) {
                    add_row_weights(ctx, weights, rows, outer, &scale);
                }
                target.summed_bits()
            }
            Some(Source::Product { product }) => {
                let Some(target) = system.products.get(index(*product)) else { continue };
                if let Some(slot) = product_scales.get_mut(index(*product)) {
                    *slot = scale.clone();
                }
                target.shared_bits()
            }
            _ => continue,
        };
        let missing = rounds.saturating_sub(index(bits));
        total = total + scale.clone() * claim.value.clone() * ctx.constant(power_of_two(missing));
        scale = scale * mu.clone();
    }
    let (reduced, point) = reduce(ctx, "contraction round", total, &proof.rounds);
    let factors = ctx.receive("contraction factors", proof.factors.as_flattened());
    let mut expected = zero;
    let mut out = Vec::with_capacity(factors.len());
    for ((contraction, weights), pair) in system.contractions.iter().zip(&row_weights).zip(factors.chunks_exact(2)) {
        let [weight_value, input_value] = pair else { continue };
        expected = expected + weight_value.clone() * input_value.clone();
        let own = suffix(&point, contraction.summed_bits());
        let position = suffix(leaf_point, domain_bits(&contraction.positions));
        let input_dims = system.columns.get(index(contraction.input)).map_or(&[][..], |c| &c.dims);
        out.push(EvaluationClaim {
            functional: contraction.weights_functional(ctx, weights, own),
            value: weight_value.clone(),
        });
        out.push(EvaluationClaim {
            functional: contraction.input_functional(ctx, input_dims, position, own),
            value: input_value.clone(),
        });
    }
    let pairs = factors.chunks_exact(2).skip(system.contractions.len());
    for ((product, scale), pair) in system.products.iter().zip(&product_scales).zip(pairs) {
        let [a, b] = pair else { continue };
        expected = expected + scale.clone() * a.clone() * b.clone();
        let own = suffix(&point, product.shared_bits());
        let domain = suffix(leaf_point, domain_bits(&product.dims));
        let functionals = product.functionals(ctx, system, domain, own);
        out.extend(
            functionals.into_iter().zip([a, b]).map(|(functional, v)| EvaluationClaim { functional, value: v.clone() }),
        );
    }
    ctx.require_equal(&reduced, &expected, RejectReason::Contraction)?;
    Ok(out)
}

fn index(v: u32) -> usize {
    usize::try_from(v).unwrap_or(usize::MAX)
}
