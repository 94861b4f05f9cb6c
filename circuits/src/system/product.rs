//! The axes of a product, and the functionals that its two factors become.

use alloc::vec;
use alloc::vec::Vec;

use super::{AxisMap, Factor, Product, System};
use crate::arithmetic::Arithmetic;
use crate::functional::{AxisWeight, Functional, scatter, split_point, strided};
use crate::mle::{eq_table, index_bits};

impl Product {
    /// Domain axes and summed axes.
    pub fn axes(&self) -> Vec<u32> {
        self.dims.iter().chain(&self.summed).copied().collect()
    }

    /// The axes that both factors read, in order: those of the sumcheck. All others are bound to the domain point.
    pub fn shared(&self) -> Vec<usize> {
        let reads = |factor: &Factor, axis: usize| factor.maps.iter().any(|m| m.axis().map(usize::from) == Some(axis));
        (0..self.dims.len().saturating_add(self.summed.len()))
            .filter(|&axis| reads(&self.a, axis) && reads(&self.b, axis))
            .collect()
    }

    /// Sizes of the shared axes.
    pub fn shared_sizes(&self) -> Vec<u32> {
        let axes = self.axes();
        self.shared().into_iter().filter_map(|axis| axes.get(axis).copied()).collect()
    }

    /// Bits of the shared axes.
    pub fn shared_bits(&self) -> u32 {
        self.shared_sizes().into_iter().map(|d| index_bits(u64::from(d))).sum()
    }

    /// The claims on both factors after the sumcheck over the shared axes ended at `shared_point`, for the product's
    /// value at `point`: the weight `eq(point, x)` of the shared domain axes goes to the first factor.
    pub fn functionals<A: Arithmetic>(
        &self,
        ctx: &A,
        system: &System,
        point: &[A::Element],
        shared_point: &[A::Element],
    ) -> [Functional<A::Element>; 2] {
        let axes = self.axes();
        let domain = split_point(&self.dims, point);
        let shared = self.shared();
        let sums = split_point(&self.shared_sizes(), shared_point);
        let of_axis = |axis: usize, first: bool| -> AxisWeight<A::Element> {
            let outer = domain.get(axis).copied();
            let inner = shared.iter().position(|&s| s == axis).and_then(|at| sums.get(at).copied());
            match (outer, inner) {
                (Some(r), Some(s)) if first => {
                    let size = axes.get(axis).copied().unwrap_or(0) as usize;
                    let weights = eq_table(ctx, r).into_iter().zip(eq_table(ctx, s)).map(|(a, b)| a * b);
                    AxisWeight::Dense { span: 1, weights: weights.take(size).collect() }
                }
                (_, Some(s)) => AxisWeight::Eq(s.to_vec()),
                (Some(r), None) => AxisWeight::Eq(r.to_vec()),
                (None, None) => AxisWeight::Ones,
            }
        };
        [(&self.a, true), (&self.b, false)].map(|(factor, first)| {
            let dims = system.columns.get(factor.column as usize).map_or(&[][..], |c| &c.dims);
            let mut at = 0usize;
            let mut weights = Vec::with_capacity(factor.maps.len());
            for map in &factor.maps {
                let span = map.span();
                let size: usize = dims.iter().skip(at).take(span).map(|&d| d as usize).product();
                at = at.saturating_add(span);
                let axis = map.axis().map(usize::from);
                let len = axis.and_then(|a| axes.get(a)).copied().unwrap_or(0);
                let own = axis.map_or(AxisWeight::Ones, |a| of_axis(a, first));
                let dense = |weight: AxisWeight<A::Element>| match weight {
                    AxisWeight::Eq(p) => eq_table(ctx, &p),
                    AxisWeight::Dense { weights, .. } => weights,
                    AxisWeight::Ones => vec![],
                };
                weights.push(match map {
                    AxisMap::Same { .. } | AxisMap::Sum | AxisMap::Selected { .. } => own,
                    AxisMap::Gather { list, .. } => {
                        AxisWeight::Dense { span, weights: scatter(ctx, size, list.iter().zip(dense(own))) }
                    }
                    AxisMap::Strided { stride, offset, .. } => {
                        let at = |i: u32| strided(i, *stride, i64::from(*offset), size as u32);
                        let entries = (0..len).zip(dense(own)).filter_map(|(i, e)| at(i).map(|x| (x, e)));
                        AxisWeight::Dense { span: 1, weights: scatter(ctx, size, entries) }
                    }
                });
            }
            Functional { column: factor.column, axes: weights }
        })
    }
}

impl System {
    /// Rounds of the batched sumcheck of all contractions and products.
    pub fn bilinear_rounds(&self) -> u32 {
        let contractions = self.contractions.iter().map(super::Contraction::summed_bits);
        contractions.chain(self.products.iter().map(Product::shared_bits)).max().unwrap_or(0)
    }
}
