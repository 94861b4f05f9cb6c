//! Lowering of `Contract`: one contraction with rows scaled by the requantisation multipliers, then its blocks.

use alloc::vec;
use alloc::vec::Vec;

use super::Lowering;
use super::requant::{Accumulator, AccumulatorSource};
use super::views::{Signal, least_padded};
use crate::field::{F, from_i64};
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
            let column_axis = self.single_axis(op.input, &view, channel)?;
            let per_group = input.shape[channel] / op.groups;
            summed.extend([op.groups, per_group]);
            maps[column_axis as usize] = Some(ContractMap::Grouped { axis: 1, size: per_group });
            op.out_channels / op.groups
        } else {
            for (&column_axis, &size) in view.axes[channel].iter().zip(&channel_sizes) {
                maps[column_axis as usize] = Some(ContractMap::Summed { axis: summed.len() as u8 });
                summed.push(size);
            }
            0
        };

        // Summed axes from here on are the taps of windows.
        let taps = summed.len();
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
                    let column_axis = self.single_axis(op.input, &view, axis)?;
                    maps[column_axis as usize] = Some(ContractMap::Window {
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

        let channel_first: Vec<usize> =
            core::iter::once(channel).chain((0..output.shape.len()).filter(|&a| a != channel)).collect();
        let column = self.own_column(op.output, &atoms, &least_padded(&atoms, channel_first));
        let own = self.view(op.output)?.clone();
        // The domain lists the channels, then the positions.
        let mut output_axes = vec![None; self.column_dims(column).len()];
        let at_positions = (0..output.shape.len()).filter(|&axis| axis != channel).flat_map(|axis| &own.axes[axis]);
        for (&axis, domain) in at_positions.zip(1u8..) {
            output_axes[axis as usize] = Some(domain);
        }
        for axis in (0..output.shape.len()).filter(|&axis| windowed(axis)) {
            self.keep_whole(&own, axis);
        }

        let own_summed = if rows_per_group > 0 { summed[1..].to_vec() } else { summed.clone() };
        let taps = taps - usize::from(rows_per_group > 0);
        let weight_axes = weight_layout(op.out_channels, &own_summed, taps);
        let dims = layout_dims(op.out_channels, &own_summed, &weight_axes);
        let weights = self.new_column(Home::Constants, dims);
        self.system.contractions.push(Contraction {
            weights,
            weight_axes: weight_axes.clone(),
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
            output_axes: Some(output_axes),
            requant: &op.requant,
            bias: &op.bias,
            reachable: op.reachable(input),
            range: (output.quantisation.lo(), output.quantisation.hi()),
            source: AccumulatorSource::Contraction(contraction),
        });
        if self.with_constants {
            let cells = weight_cells(&op.weights, &multipliers, &own_summed, &weight_axes);
            self.constants.push((weights, cells));
        }
        Ok(())
    }
}

/// Order of the axes of the weights that pads least: the rows, the channels, and the taps (own summed axes from `taps`
/// on); taps, or all summed axes, may be merged into one axis. Only the outermost axis is not padded.
fn weight_layout(rows: u32, own: &[u32], taps: usize) -> Vec<Vec<u8>> {
    let numbers = |range: core::ops::Range<usize>| range.map(|k| k as u8 + 1).collect::<Vec<u8>>();
    let single = |axes: Vec<u8>| axes.into_iter().map(|k| vec![k]).collect::<Vec<_>>();
    let (channels, kernel) = (numbers(0..taps.min(own.len())), numbers(taps.min(own.len())..own.len()));
    let mut layouts = vec![[vec![vec![0]], single(channels.clone()), single(kernel.clone())].concat()];
    if let Some((&first, rest)) = channels.split_first() {
        layouts.push([vec![vec![first], vec![0]], single(rest.to_vec()), single(kernel.clone())].concat());
    }
    if kernel.len() > 1 {
        layouts.push([vec![kernel.clone(), vec![0]], single(channels.clone())].concat());
        layouts.push([vec![kernel], single(channels), vec![vec![0]]].concat());
    }
    if own.len() > 1 {
        // All summed axes as one: a flattened tensor before a Gemm has several.
        let all = numbers(0..own.len());
        layouts.push(vec![all.clone(), vec![0]]);
        layouts.push(vec![vec![0], all]);
    }
    layouts.into_iter().min_by_key(|axes| domain_len(&layout_dims(rows, own, axes))).unwrap_or_default()
}

/// Sizes of the axes of the weights.
fn layout_dims(rows: u32, own: &[u32], axes: &[Vec<u8>]) -> Vec<u32> {
    let size = |&k: &u8| if k == 0 { rows } else { own[usize::from(k) - 1] };
    axes.iter().map(|merged| merged.iter().map(size).product()).collect()
}

/// Weights times their row's multiplier, in the order of the column.
fn weight_cells(weights: &[i16], multipliers: &[i64], own: &[u32], axes: &[Vec<u8>]) -> Vec<F> {
    let strides = crate::ops::row_major_strides(own);
    let row = weights.len() / multipliers.len().max(1);
    // Each elementary axis in the column's order: its size, and its step in the program's weights.
    let walk: Vec<(usize, usize, bool)> = axes
        .iter()
        .flatten()
        .map(|&k| match usize::from(k).checked_sub(1) {
            None => (multipliers.len(), row, true),
            Some(at) => (own[at] as usize, strides[at], false),
        })
        .collect();
    let mut index = vec![0usize; walk.len()];
    let (mut at, mut channel) = (0usize, 0usize);
    let mut cells = Vec::with_capacity(weights.len());
    for _ in 0..weights.len() {
        cells.push(from_i64(i64::from(weights[at]) * multipliers[channel]));
        for (slot, &(size, stride, rows)) in index.iter_mut().zip(&walk).rev() {
            *slot += 1;
            at += stride;
            channel += usize::from(rows);
            if *slot < size {
                break;
            }
            *slot = 0;
            at -= stride * size;
            channel -= if rows { size } else { 0 };
        }
    }
    cells
}

/// A window that only carries its axis through. End padding or cropping shows in the lengths.
fn is_trivial(w: &Window, input: u32, output: u32) -> bool {
    w.kernel == 1 && w.stride == 1 && w.pad_begin == 0 && input == output
}
