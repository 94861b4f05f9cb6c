//! Lowering of `Contract`: one contraction with rows scaled by the requantisation multipliers, then its blocks.

use alloc::vec;
use alloc::vec::Vec;

use super::requant::{Accumulator, AccumulatorSource};
use super::views::Signal;
use super::{LowerError, Lowering};
use crate::field::from_i64;
use crate::ops::{Contract, Window};
use crate::system::{ContractMap, Contraction, Home, domain_len};

impl Lowering<'_> {
    pub(super) fn contract(&mut self, op_index: usize, op: &Contract) -> Result<(), Signal> {
        let input = &self.program.values[op.input as usize];
        let output = &self.program.values[op.output as usize];
        let channel = op.channel_axis as usize;
        let windowed = |axis: usize| {
            let window = op.windows.iter().find(|w| w.axis as usize == axis);
            window.is_some_and(|w| !is_trivial(w, input.shape[axis], output.shape[axis]))
        };
        let view = self.whole_axes(op.input, |axis| windowed(axis) || (op.groups > 1 && axis == channel))?;
        let mut maps: Vec<Option<ContractMap>> = vec![None; self.column_dims(view.column).len()];
        let mut summed = Vec::new();

        let channel_sizes = self.axis_sizes(&view, channel);
        let rows_per_group = if op.groups > 1 {
            let [column_axis] = view.axes[channel].as_slice() else {
                return Err(Signal::Fail(LowerError::GroupedAxis { tensor: input.name.clone() }));
            };
            let per_group = input.shape[channel] / op.groups;
            summed.extend([op.groups, per_group]);
            maps[*column_axis as usize] = Some(ContractMap::Grouped { axis: 1, size: per_group });
            op.out_channels / op.groups
        } else {
            for (&column_axis, &size) in view.axes[channel].iter().zip(&channel_sizes) {
                maps[column_axis as usize] = Some(ContractMap::Summed { axis: summed.len() as u8 });
                summed.push(size);
            }
            0
        };

        let mut positions = Vec::new();
        let mut atoms: Vec<Vec<u32>> = vec![Vec::new(); output.shape.len()];
        atoms[channel] = self.atoms(op.output, channel);
        for axis in (0..output.shape.len()).filter(|&a| a != channel) {
            let window = op
                .windows
                .iter()
                .find(|w| w.axis as usize == axis)
                .filter(|w| !is_trivial(w, input.shape[axis], output.shape[axis]));
            match window {
                None => {
                    let sizes = self.carried(op.output, axis, &view, axis)?;
                    for (&column_axis, &size) in view.axes[axis].iter().zip(&sizes) {
                        maps[column_axis as usize] = Some(ContractMap::Position { axis: positions.len() as u8 });
                        positions.push(size);
                    }
                    atoms[axis] = sizes;
                }
                Some(w) => {
                    let single = self.refinements.get(&(op.output, axis)).is_none_or(|a| a.len() == 1);
                    let [column_axis] = view.axes[axis].as_slice() else {
                        return Err(Signal::Fail(LowerError::WindowedAxis { tensor: input.name.clone() }));
                    };
                    if !single {
                        return Err(Signal::Fail(LowerError::WindowedAxis { tensor: output.name.clone() }));
                    }
                    maps[*column_axis as usize] = Some(ContractMap::Window {
                        axis: positions.len() as u8,
                        tap_axis: summed.len() as u8,
                        stride: w.stride,
                        dilation: w.dilation,
                        offset: -(w.pad_begin as i32),
                    });
                    summed.push(w.kernel);
                    positions.push(output.shape[axis]);
                    atoms[axis] = vec![output.shape[axis]];
                }
            }
        }
        // Column axes of size one that the view no longer names are summed over.
        let maps: Vec<ContractMap> = maps
            .into_iter()
            .map(|map| {
                map.unwrap_or_else(|| {
                    summed.push(1);
                    ContractMap::Summed { axis: (summed.len() - 1) as u8 }
                })
            })
            .collect();

        let axis_order: Vec<usize> =
            core::iter::once(channel).chain((0..output.shape.len()).filter(|&a| a != channel)).collect();
        let column = self.own_column(op.output, &atoms, &axis_order);
        let own = self.view(op.output)?.clone();
        for axis in (0..output.shape.len()).filter(|&axis| windowed(axis)) {
            own.axes[axis].iter().for_each(|&a| self.keep_whole(column, a));
        }

        // Put the rows or the first summed axis outermost, whichever pads less.
        let own_summed = if rows_per_group > 0 { summed[1..].to_vec() } else { summed.clone() };
        let with_rows_at = |row_axis: usize| {
            let mut dims = own_summed.clone();
            dims.insert(row_axis, op.out_channels);
            dims
        };
        let row_axis = (0..=own_summed.len().min(1)).min_by_key(|&a| domain_len(&with_rows_at(a))).unwrap_or(0);
        let weights = self.new_column(Home::Constants, with_rows_at(row_axis));
        self.system.contractions.push(Contraction {
            weights,
            row_axis: row_axis as u8,
            input: view.column,
            summed,
            rows_per_group,
            positions: positions.clone(),
            maps,
        });
        let contraction = (self.system.contractions.len() - 1) as u32;

        let multipliers = self.requantise(&Accumulator {
            op: op_index,
            positions,
            output: column,
            channel_axes: atoms[channel].len(),
            requant: &op.requant,
            bias: &op.bias,
            reachable: op.reachable(input),
            range: (output.quantisation.lo(), output.quantisation.hi()),
            source: AccumulatorSource::Contraction(contraction),
        });
        if self.with_constants {
            let row = op.weights.len() / op.out_channels as usize;
            let scaled = |o: usize, at: usize| from_i64(i64::from(op.weights[o * row + at]) * multipliers[o]);
            let rows = op.out_channels as usize;
            let cells = if row_axis == 0 {
                (0..rows).flat_map(|o| (0..row).map(move |at| (o, at))).map(|(o, at)| scaled(o, at)).collect()
            } else {
                let outer = own_summed[0] as usize;
                let inner = row / outer;
                (0..outer)
                    .flat_map(|x| (0..rows).flat_map(move |o| (0..inner).map(move |i| (o, x * inner + i))))
                    .map(|(o, at)| scaled(o, at))
                    .collect()
            };
            self.constants.push((weights, cells));
        }
        Ok(())
    }
}

/// A window that only carries its axis through. End padding or cropping shows in the lengths.
fn is_trivial(w: &Window, input: u32, output: u32) -> bool {
    w.kernel == 1 && w.stride == 1 && w.pad_begin == 0 && input == output
}
