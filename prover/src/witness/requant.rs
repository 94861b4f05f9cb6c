//! Hints of requantisations: what `circuits/src/lower/requant.rs` says of each accumulator.

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::{RequantForm, RequantStep};
use vinfer_circuits::program::Op;
use vinfer_circuits::system::{AxisMap, Instance, Source};

use super::order::to_column_order;
use super::{Witness, value_column};
use crate::execute::Execution;
use crate::keys::ProvingKey;

/// Cells per task.
const RUN: usize = 1 << 13;

/// The accumulators of a block: `positions` of each channel, without the bias.
struct Block {
    accumulators: Vec<i64>,
    positions: usize,
}

impl Block {
    /// A function of the channel's index in the block and the accumulator, at every position.
    fn map<T: Copy + Default + Send>(&self, f: impl Fn(usize, i64) -> T + Sync) -> Vec<T> {
        let mut out = vec![T::default(); self.accumulators.len()];
        out.par_chunks_mut(RUN).zip(self.accumulators.par_chunks(RUN)).enumerate().for_each(|(task, (out, own))| {
            let (mut at, mut done) = (task * RUN, 0);
            while done < own.len() {
                let channel = at / self.positions;
                let run = ((channel + 1) * self.positions - at).min(own.len() - done);
                let slots = out[done..][..run].iter_mut().zip(&own[done..][..run]);
                slots.for_each(|(slot, &acc)| *slot = f(channel, acc));
                at += run;
                done += run;
            }
        });
        out
    }
}

/// Limb `index` of every value.
fn limb(values: &[i64], index: usize, limb_bits: u8) -> Vec<F> {
    let (shift, mask) = (index * limb_bits as usize, (1 << limb_bits) - 1);
    map(values, |v| F::from_u64(((v >> shift) & mask) as u64))
}

fn map<T: Copy + Sync, U: Copy + Default + Send>(values: &[T], f: impl Fn(T) -> U + Sync) -> Vec<U> {
    let mut out = vec![U::default(); values.len()];
    let runs = out.par_chunks_mut(RUN).zip(values.par_chunks(RUN));
    runs.for_each(|(out, values)| out.iter_mut().zip(values).for_each(|(slot, &v)| *slot = f(v)));
    out
}

/// The domain axis behind each axis of a column that an instance reads.
fn domain_axes(instance: &Instance, column: u32) -> Vec<u8> {
    let maps = instance.sources.iter().find_map(|source| match source {
        Source::Column { column: own, maps } if *own == column => Some(maps.as_slice()),
        _ => None,
    });
    let axes = maps.unwrap_or_default().iter().flat_map(|map| match map {
        AxisMap::Gather { axis, span, .. } => std::iter::repeat_n(*axis, usize::from(*span)),
        AxisMap::Same { axis } => std::iter::repeat_n(*axis, 1),
        _ => std::iter::repeat_n(0, 1),
    });
    axes.collect()
}

/// Sizes of a column's axes in the order in which the domain of an instance lists them, and which of them is which in
/// logical order (`order`: the column's axes in logical order).
fn domain_order(instance: &Instance, column: u32, dims: &[u32], order: &[u8]) -> (Vec<u32>, Vec<u8>) {
    let domain = domain_axes(instance, column);
    let mut listed: Vec<usize> = (0..dims.len()).collect();
    listed.sort_by_key(|&axis| domain.get(axis));
    let place = |axis: u8| listed.iter().position(|&a| a == usize::from(axis)).unwrap_or(0) as u8;
    (listed.iter().map(|&axis| dims[axis]).collect(), order.iter().map(|&axis| place(axis)).collect())
}

impl Witness {
    /// Fills a column with a hint's values in the order of the instance's domain.
    fn store(&mut self, instance: &Instance, column: u32, values: Vec<F>) {
        let axes = domain_axes(instance, column);
        self.columns[column as usize] = if axes.is_sorted() {
            values
        } else {
            let own: Vec<u32> = axes.iter().map(|&axis| instance.dims[usize::from(axis)]).collect();
            let mut order: Vec<u8> = (0..).take(axes.len()).collect();
            order.sort_by_key(|&axis| axes[usize::from(axis)]);
            to_column_order(&values, &own, &order, |v| v)
        };
    }

    pub(super) fn fill_requant(&mut self, key: &ProvingKey, execution: &Execution, step: &RequantStep) {
        let system = &key.lowered.system;
        let instance = &system.instances[step.instance as usize];
        let op = &key.proven().ops[step.op];
        let Some((column, order)) = value_column(key, op.output()) else { return };
        let dims = &system.columns[column as usize].dims;
        let (dims, order) = domain_order(instance, column, dims, order);
        let all = to_column_order(&execution.accumulators[step.op], &dims, &order, |acc| acc);
        let biases: &[i64] = if let Op::Contract(c) = op { &c.bias } else { &[] };
        let bias = |ch: u32| biases.get(ch as usize).copied().unwrap_or(0);
        // Without channels one step function and the bias of channel 0 hold for the whole tensor.
        let (biases, block): (Vec<i64>, Block) = if step.channels.is_empty() {
            (vec![bias(0)], Block { positions: all.len().max(1), accumulators: all })
        } else {
            let positions: usize = instance.dims[1..].iter().map(|&d| d as usize).product();
            let own = step.channels.iter().flat_map(|&ch| &all[ch as usize * positions..][..positions]);
            let accumulators = own.copied().collect();
            (step.channels.iter().map(|&ch| bias(ch)).collect(), Block { positions: positions.max(1), accumulators })
        };
        let is_summed = |s: &Source| matches!(s, Source::Contraction { .. } | Source::Product { .. });
        let mut sources = instance.sources.iter().enumerate().filter(|(_, s)| is_summed(s)).map(|(i, s)| (i as u16, s));
        let (first, second) = (sources.next(), sources.next());
        let scaled = match &step.form {
            RequantForm::Line { multipliers, offsets, limbs, limb_bits } => {
                let sums = block.map(|i, acc| (acc - biases[i]) * multipliers[i] + offsets[i]);
                for (at, &column) in limbs.iter().enumerate() {
                    self.store(instance, column, limb(&sums, at, *limb_bits));
                }
                block.map(|i, acc| from_i64((acc - biases[i]) * multipliers[i]))
            }
            RequantForm::Parity { multipliers, offsets, odd_deltas, shift, parity, limbs, slack, limb_bits } => {
                let low = usize::from(*limb_bits) * limbs.len().saturating_sub(2);
                // Parity of the level, and the distance to its lower end.
                let levels = block.map(|i, acc| {
                    let even = (acc - biases[i]) * multipliers[i] + offsets[i];
                    let cell = even & ((1i64 << (shift + 1)) - 1);
                    let s = i64::from(cell >= (1i64 << shift) - odd_deltas[i]);
                    (s, cell + s * odd_deltas[i] - (s << shift))
                });
                let remainders = map(&levels, |(_, remainder)| remainder);
                for (at, &column) in limbs.iter().enumerate() {
                    self.store(instance, column, limb(&remainders, at, *limb_bits));
                }
                self.store(instance, *parity, map(&levels, |(s, _)| F::from_u64(s as u64)));
                let odd = Block { accumulators: map(&levels, |(s, _)| s), positions: block.positions };
                if let Some(slack) = slack {
                    let bounds = odd.map(|i, s| ((1i64 << shift) + (2 * s - 1) * odd_deltas[i]) >> low);
                    let rooms: Vec<i64> =
                        bounds.par_iter().zip(&remainders).map(|(bound, r)| bound - 1 - (r >> low)).collect();
                    self.store(instance, *slack, limb(&rooms, 0, *limb_bits));
                }
                if let Some((source, _)) = second {
                    let odd = odd.map(|i, s| from_i64(s * odd_deltas[i]));
                    self.contractions[step.instance as usize].push((source, odd));
                }
                block.map(|i, acc| from_i64((acc - biases[i]) * multipliers[i]))
            }
            RequantForm::Exact => block.map(|i, acc| from_i64(acc - biases[i])),
            RequantForm::Table { starts, lower, upper } => {
                let interval = |i: usize, acc: i64| {
                    let starts = &starts[i];
                    starts.partition_point(|&t| t <= acc).clamp(1, starts.len() - 1)
                };
                let below = block.map(|i, acc| from_i64(starts[i][interval(i, acc) - 1]));
                self.store(instance, *lower, below);
                let above = block.map(|i, acc| from_i64(starts[i][interval(i, acc)]));
                self.store(instance, *upper, above);
                block.map(|i, acc| from_i64(acc - biases[i]))
            }
        };
        if let Some((source, kind)) = first {
            // A product enters unscaled; the expressions carry its multiplier.
            let values = if let Source::Product { .. } = kind { map(&block.accumulators, from_i64) } else { scaled };
            self.contractions[step.instance as usize].push((source, values));
        }
    }
}
