//! Separable linear functionals of a column: `value = sum_x column[x] * prod_axis weight_axis[x_axis]`.
//!
//! Every claim about a column has this form: a plain evaluation (all axes `Eq`), a strided or gathered view, a
//! convolution window, a sum over an axis. Its weight polynomial is evaluated at a random point axis by axis, in
//! O(axis length) at worst and O(log) for `Eq` and `Ones`.

use alloc::vec;
use alloc::vec::Vec;

use crate::arithmetic::Arithmetic;
use crate::field::K;
use crate::mle::{below, eq_eval_below, eq_index, eq_table, index_bits};
use crate::system::{AxisMap, ColumnId, ContractMap, Contraction, Instance, Source, System};
use p3_field::PrimeCharacteristicRing;

/// Weights along one axis, or along a run of axes (row-major) for `Dense`.
#[derive(Debug, Clone)]
pub enum AxisWeight<E> {
    /// `eq(point, i)` for `i` below the axis size.
    Eq(Vec<E>),
    /// 1 everywhere.
    Ones,
    /// Explicit weights over the next `span` axes, row-major over their real sizes.
    Dense {
        /// Axes covered.
        span: usize,
        /// The weights.
        weights: Vec<E>,
    },
}

/// A separable linear functional of one column.
#[derive(Debug, Clone)]
pub struct Functional<E> {
    /// The column.
    pub column: ColumnId,
    /// Axis weights, covering all axes in order.
    pub axes: Vec<AxisWeight<E>>,
}

/// A claim `functional(column) = value`. It must be discharged by the opening; see `discharge` in the verifier.
#[derive(Debug, Clone)]
#[must_use = "an evaluation claim that nobody discharges proves nothing"]
pub struct EvaluationClaim<E> {
    /// What is claimed to have the value.
    pub functional: Functional<E>,
    /// The claimed value.
    pub value: E,
}

/// Splits a point into the coordinates of each axis. The point must have the bits of `dims`.
pub fn split_point<'a, E>(dims: &[u32], point: &'a [E]) -> Vec<&'a [E]> {
    let mut rest = point;
    dims.iter()
        .map(|&d| {
            let bits = index_bits(u64::from(d)) as usize;
            let (head, tail) = rest.split_at_checked(bits).unwrap_or((rest, &[]));
            rest = tail;
            head
        })
        .collect()
}

/// `stride * index + offset`, if it is in `0..size`.
pub fn strided(index: u32, stride: u32, offset: i64, size: u32) -> Option<u32> {
    let at = i64::from(index).checked_mul(i64::from(stride))?.checked_add(offset)?;
    u32::try_from(at).ok().filter(|&at| at < size)
}

/// Weights over an axis of `size`: the sum of the values given for each index.
pub(crate) fn scatter<A: Arithmetic>(
    ctx: &A,
    size: usize,
    entries: impl Iterator<Item = (u32, A::Element)>,
) -> Vec<A::Element> {
    let mut weights = vec![ctx.constant(K::ZERO); size];
    for (at, value) in entries {
        if let Some(slot) = weights.get_mut(at as usize) {
            *slot = slot.clone() + value;
        }
    }
    weights
}

impl<E> Functional<E> {
    /// The weight polynomial at a point of the column's cube.
    pub fn evaluate<A: Arithmetic<Element = E>>(&self, ctx: &A, dims: &[u32], point: &[E]) -> E
    where
        E: crate::arithmetic::Element,
    {
        let coordinates = split_point(dims, point);
        let mut product = ctx.constant(K::ONE);
        let mut axis = 0usize;
        for weight in &self.axes {
            let span = if let AxisWeight::Dense { span, .. } = weight { *span } else { 1 };
            let own: Vec<&[E]> = coordinates.iter().skip(axis).take(span).copied().collect();
            let sizes: Vec<u32> = dims.iter().skip(axis).take(span).copied().collect();
            let (Some(&first), Some(&size)) = (own.first(), sizes.first()) else { continue };
            let factor = match weight {
                AxisWeight::Eq(at) => eq_eval_below(ctx, at, first, u64::from(size)),
                AxisWeight::Ones => below(ctx, first, u64::from(size)),
                AxisWeight::Dense { weights, .. } => dense_evaluation(ctx, weights, &sizes, &own),
            };
            product = product * factor;
            axis = axis.saturating_add(span);
        }
        product
    }

    /// The weights of each axis over real indices, every run of axes flattened row-major.
    pub fn dense_axes<A: Arithmetic<Element = E>>(&self, ctx: &A, dims: &[u32]) -> Vec<Vec<E>>
    where
        E: crate::arithmetic::Element,
    {
        let mut axis = 0usize;
        let mut out = Vec::with_capacity(self.axes.len());
        for weight in &self.axes {
            let size = dims.get(axis).map_or(1, |&d| d as usize);
            let (span, weights) = match weight {
                AxisWeight::Eq(point) => {
                    let mut table = eq_table(ctx, point);
                    table.truncate(size);
                    (1, table)
                }
                AxisWeight::Ones => (1, vec![ctx.constant(K::ONE); size]),
                AxisWeight::Dense { span, weights } => (*span, weights.clone()),
            };
            out.push(weights);
            axis = axis.saturating_add(span);
        }
        out
    }
}

/// `sum_i weights[i] * eq(point, i)` with `i` row-major over `sizes` and the point split per axis.
fn dense_evaluation<A: Arithmetic>(
    ctx: &A,
    weights: &[A::Element],
    sizes: &[u32],
    points: &[&[A::Element]],
) -> A::Element {
    // Contract the innermost axis first.
    let mut current = weights.to_vec();
    for (&size, point) in sizes.iter().zip(points).rev() {
        let table = eq_table(ctx, point);
        current = current
            .chunks((size as usize).max(1))
            .map(|chunk| crate::arithmetic::inner_product(ctx, chunk, &table))
            .collect();
    }
    current.into_iter().next().unwrap_or_else(|| ctx.constant(K::ZERO))
}

/// `sum over real indices of a domain axis of eq(point, i)` for every axis whose index `unused` keeps.
pub fn real_mass<A: Arithmetic>(
    ctx: &A,
    dims: &[u32],
    coordinates: &[&[A::Element]],
    mut keep: impl FnMut(usize) -> bool,
) -> A::Element {
    let mut product = ctx.constant(K::ONE);
    for (axis, (&d, point)) in dims.iter().zip(coordinates).enumerate() {
        if keep(axis) {
            product = product * below(ctx, point, u64::from(d));
        }
    }
    product
}

/// The functional behind a `Source::Column` at a domain point, and the factor of its broadcast axes:
/// `source(point) = factor * functional(column)`.
pub fn column_source<A: Arithmetic>(
    ctx: &A,
    system: &System,
    instance: &Instance,
    column: ColumnId,
    maps: &[AxisMap],
    point: &[A::Element],
) -> (Functional<A::Element>, A::Element) {
    let coordinates = split_point(&instance.dims, point);
    let dims: &[u32] = system.columns.get(column as usize).map_or(&[], |c| &c.dims);
    let mut used = vec![false; instance.dims.len()];
    let mut mark = |axis: u8| {
        if let Some(u) = used.get_mut(axis as usize) {
            *u = true;
        }
    };
    let domain = |axis: u8| -> (&[A::Element], u32) {
        let point = coordinates.get(axis as usize).copied().unwrap_or(&[]);
        (point, instance.dims.get(axis as usize).copied().unwrap_or(1))
    };
    let mut axes = Vec::with_capacity(maps.len());
    let mut at = 0usize;
    for map in maps {
        match map {
            AxisMap::Same { axis } => {
                mark(*axis);
                axes.push(AxisWeight::Eq(domain(*axis).0.to_vec()));
                at = at.saturating_add(1);
            }
            // A selected axis has become a gather by now; alone it has no weights.
            AxisMap::Sum | AxisMap::Selected { .. } => {
                axes.push(AxisWeight::Ones);
                at = at.saturating_add(1);
            }
            AxisMap::Gather { axis, span, list } => {
                mark(*axis);
                let span = *span as usize;
                let size = dims.iter().skip(at).take(span).map(|&d| d as usize).product();
                let eq = eq_table(ctx, domain(*axis).0);
                let weights = scatter(ctx, size, list.iter().zip(eq));
                axes.push(AxisWeight::Dense { span, weights });
                at = at.saturating_add(span);
            }
            AxisMap::Strided { axis, stride, offset } => {
                mark(*axis);
                let (point, len) = domain(*axis);
                let size = dims.get(at).copied().unwrap_or(0);
                let eq = eq_table(ctx, point);
                let entries =
                    (0..len).zip(eq).filter_map(|(i, e)| strided(i, *stride, i64::from(*offset), size).map(|x| (x, e)));
                axes.push(AxisWeight::Dense { span: 1, weights: scatter(ctx, size as usize, entries) });
                at = at.saturating_add(1);
            }
        }
    }
    let factor = real_mass(ctx, &instance.dims, &coordinates, |axis| used.get(axis) == Some(&false));
    (Functional { column, axes }, factor)
}

/// The value of `Source::OutsideWindow` at a domain point.
pub fn outside_window<A: Arithmetic>(
    ctx: &A,
    dims: &[u32],
    point: &[A::Element],
    axis: u8,
    window: (u32, i64, u32),
) -> A::Element {
    let coordinates = split_point(dims, point);
    let own = coordinates.get(axis as usize).copied().unwrap_or(&[]);
    let len = dims.get(axis as usize).copied().unwrap_or(0);
    let (stride, offset, size) = window;
    let mut outside = ctx.constant(K::ZERO);
    for (i, e) in (0..len).zip(eq_table(ctx, own)) {
        if strided(i, stride, offset, size).is_none() {
            outside = outside + e;
        }
    }
    outside * real_mass(ctx, dims, &coordinates, |a| a != axis as usize)
}

/// Adds `scale * eq(point of domain axis 0, j)` to the row weight of `rows[j]`, for every `j`.
pub fn add_row_weights<A: Arithmetic>(
    ctx: &A,
    row_weights: &mut [A::Element],
    rows: &crate::system::IndexList,
    outer_point: &[A::Element],
    scale: &A::Element,
) {
    for (row, e) in rows.iter().zip(eq_table(ctx, outer_point)) {
        if let Some(slot) = row_weights.get_mut(row as usize) {
            *slot = slot.clone() + e * scale.clone();
        }
    }
}

impl Contraction {
    /// Position of the rows among the axes of the weights.
    pub fn row_axis(&self) -> usize {
        self.weight_axes.iter().position(|merged| merged.as_slice() == [0]).unwrap_or(0)
    }

    /// Sizes of the summed axes of the weights: all but the group.
    pub fn own_summed(&self) -> &[u32] {
        let grouped = usize::from(self.rows_per_group > 0);
        self.summed.get(grouped..).unwrap_or(&[])
    }

    /// Bits of each summed axis.
    pub fn summed_bits(&self) -> u32 {
        crate::system::domain_bits(&self.summed)
    }

    /// The claim on the weights column after the sumcheck over the summed axes ended at `point`.
    pub fn weights_functional<A: Arithmetic>(
        &self,
        ctx: &A,
        row_weights: &[A::Element],
        point: &[A::Element],
    ) -> Functional<A::Element> {
        let sums = split_point(&self.summed, point);
        let grouped = self.rows_per_group > 0;
        let rows = if grouped {
            let group_eq = eq_table(ctx, sums.first().copied().unwrap_or(&[]));
            let per_group = self.rows_per_group as usize;
            row_weights
                .chunks(per_group)
                .zip(group_eq)
                .flat_map(|(chunk, g)| chunk.iter().map(move |w| w.clone() * g.clone()))
                .collect()
        } else {
            row_weights.to_vec()
        };
        let own: Vec<&[A::Element]> = sums.iter().skip(usize::from(grouped)).copied().collect();
        let sizes = self.own_summed();
        let axes = self
            .weight_axes
            .iter()
            .map(|merged| match merged.as_slice() {
                [0] => AxisWeight::Dense { span: 1, weights: rows.clone() },
                [one] => AxisWeight::Eq(own.get(usize::from(*one).wrapping_sub(1)).copied().unwrap_or(&[]).to_vec()),
                several => {
                    let mut weights = vec![ctx.constant(K::ONE)];
                    for &axis in several {
                        let at = usize::from(axis).wrapping_sub(1);
                        let size = sizes.get(at).copied().unwrap_or(0) as usize;
                        let eq = eq_table(ctx, own.get(at).copied().unwrap_or(&[]));
                        weights = weights
                            .iter()
                            .flat_map(|w| eq.iter().take(size).map(move |e| w.clone() * e.clone()))
                            .collect();
                    }
                    AxisWeight::Dense { span: 1, weights }
                }
            })
            .collect();
        Functional { column: self.weights, axes }
    }

    /// The claim on the input column at position point `position` and summed point `point`.
    pub fn input_functional<A: Arithmetic>(
        &self,
        ctx: &A,
        input_dims: &[u32],
        position: &[A::Element],
        point: &[A::Element],
    ) -> Functional<A::Element> {
        let sums = split_point(&self.summed, point);
        let positions = split_point(&self.positions, position);
        let sum_point = |axis: u8| sums.get(axis as usize).copied().unwrap_or(&[]);
        let position_point = |axis: u8| positions.get(axis as usize).copied().unwrap_or(&[]);
        let axes = self
            .maps
            .iter()
            .zip(input_dims)
            .map(|(map, &size)| match map {
                ContractMap::Summed { axis } => AxisWeight::Eq(sum_point(*axis).to_vec()),
                ContractMap::Position { axis } => AxisWeight::Eq(position_point(*axis).to_vec()),
                ContractMap::Window { axis, tap_axis, stride, dilation, offset } => {
                    let outs = self.positions.get(*axis as usize).copied().unwrap_or(0);
                    let taps = self.summed.get(*tap_axis as usize).copied().unwrap_or(0);
                    let out_eq = eq_table(ctx, position_point(*axis));
                    let tap_eq = eq_table(ctx, sum_point(*tap_axis));
                    let mut weights = vec![ctx.constant(K::ZERO); size as usize];
                    for (out, oe) in (0..outs).zip(&out_eq) {
                        for (tap, te) in (0..taps).zip(&tap_eq) {
                            let shift =
                                i64::from(tap).saturating_mul(i64::from(*dilation)).saturating_add(i64::from(*offset));
                            if let Some(slot) =
                                strided(out, *stride, shift, size).and_then(|x| weights.get_mut(x as usize))
                            {
                                *slot = slot.clone() + oe.clone() * te.clone();
                            }
                        }
                    }
                    AxisWeight::Dense { span: 1, weights }
                }
                ContractMap::Grouped { axis, size: per_group } => {
                    let group_eq = eq_table(ctx, sum_point(0));
                    let channel_eq = eq_table(ctx, sum_point(*axis));
                    let groups = self.summed.first().copied().unwrap_or(0) as usize;
                    let weights = group_eq
                        .iter()
                        .take(groups)
                        .flat_map(|g| channel_eq.iter().take(*per_group as usize).map(move |c| g.clone() * c.clone()))
                        .collect();
                    AxisWeight::Dense { span: 1, weights }
                }
            })
            .collect();
        Functional { column: self.input, axes }
    }
}

/// The weight of a column cell inside its commitment at a point of the whole commitment: the selector of the column's
/// slot times the functional.
pub fn committed_weight<A: Arithmetic>(
    ctx: &A,
    functional: &Functional<A::Element>,
    dims: &[u32],
    offset: u64,
    point: &[A::Element],
) -> A::Element {
    let bits = crate::system::domain_bits(dims) as usize;
    let high = point.len().saturating_sub(bits);
    let (prefix, own) = point.split_at_checked(high).unwrap_or((&[], point));
    let slot = u32::try_from(bits).ok().and_then(|s| offset.checked_shr(s)).unwrap_or(0);
    eq_index(ctx, slot, prefix) * functional.evaluate(ctx, dims, own)
}

/// Whether a source needs a value from the prover (the others the verifier computes).
pub const fn source_is_claimed(source: &Source) -> bool {
    !matches!(source, Source::OutsideWindow { .. })
}
