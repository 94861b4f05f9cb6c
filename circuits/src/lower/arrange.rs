//! Lowering of `Arrange`: every box of the output equals its source, element by element.

use alloc::vec;
use alloc::vec::Vec;

use super::float::FLOAT_PARTS;
use super::views::{Signal, View};
use super::{Lowering, same_maps};
use crate::field::from_i64;
use crate::ops::{Arrange, AxisIndices, Part, PartSource};
use crate::program::ValueId;
use crate::system::{AxisMap, ColumnId, IndexList, Source};

impl Lowering<'_> {
    pub(super) fn arrange(&mut self, op: &Arrange) -> Result<(), Signal> {
        // Each box reads and writes by whole axes.
        let (column, atoms) = self.root_value(op.output);
        for part in &op.parts {
            self.part(op.output, column, &atoms, part)?;
        }
        Ok(())
    }

    fn part(&mut self, output: ValueId, column: ColumnId, atoms: &[Vec<u32>], part: &Part) -> Result<(), Signal> {
        // Domain: the axes of the box (at least one).
        let mut dims = part.shape.clone();
        if dims.is_empty() {
            dims.push(1);
        }
        let rank = part.shape.len();
        let mut y_maps = Vec::new();
        for (axis, own) in atoms.iter().enumerate().take(rank) {
            let (at, size) = (part.at[axis], part.shape[axis]);
            let full: u32 = own.iter().product();
            y_maps.push(if own.len() != 1 {
                AxisMap::Gather {
                    axis: axis as u8,
                    span: own.len() as u8,
                    list: if at == 0 { IndexList::Identity(size) } else { IndexList::List((at..at + size).collect()) },
                }
            } else if size == full {
                AxisMap::Same { axis: axis as u8 }
            } else {
                AxisMap::Strided { axis: axis as u8, stride: 1, offset: at as i32 }
            });
        }
        if rank == 0 {
            y_maps = same_maps(self.column_dims(column).len());
        }
        let x_sources: Vec<Source> = match &part.source {
            PartSource::Value { input, indices } => {
                // An axis scattered over the column cannot be indexed as a whole.
                let view = self.view(*input)?.clone();
                let scattered = |axis: usize| view.axes[axis].windows(2).any(|w| w[1] != w[0] + 1);
                let view = self.whole_axes(*input, scattered)?;
                let maps = self.box_maps(&view, part, indices);
                self.value_sources(*input, view.column, &maps)
            }
            PartSource::Constant { data } => {
                // Constants that repeat along the outermost axis (the samples of a batch) are committed once.
                let own = data.len() / dims[0] as usize;
                let repeats = dims[0] > 1 && data.len() > 1 && data.chunks(own).all(|chunk| *chunk == data[..own]);
                let data = if repeats { &data[..own] } else { data };
                let (constant_dims, maps) = if data.len() == 1 {
                    (vec![1], vec![AxisMap::Sum])
                } else {
                    let skipped = usize::from(repeats);
                    (dims[skipped..].to_vec(), same_maps(dims.len())[skipped..].to_vec())
                };
                let parts = self.constant_parts(output, data);
                parts
                    .into_iter()
                    .map(|cells| {
                        let cells = cells.into_iter().map(from_i64).collect();
                        let id = self.new_constant(constant_dims.clone(), || cells);
                        Source::Column { column: id, maps: maps.clone() }
                    })
                    .collect()
            }
        };
        let y_sources = self.value_sources(output, column, &y_maps);
        self.equate(dims, x_sources, y_sources);
        Ok(())
    }

    /// How a box reads its input.
    fn box_maps(&self, view: &View, part: &Part, indices: &[AxisIndices]) -> Vec<AxisMap> {
        let dims = self.column_dims(view.column);
        let mut maps: Vec<Option<AxisMap>> = vec![Some(AxisMap::Sum); dims.len()];
        for (axis, own) in view.axes.iter().enumerate() {
            let size: u32 = own.iter().map(|&a| dims[a as usize]).product();
            let Some((&first, rest)) = own.split_first() else { continue };
            let domain = axis as u8;
            let map = match &indices[axis] {
                AxisIndices::Run { start: 0, step: 1 } if rest.is_empty() && part.shape[axis] == size => {
                    AxisMap::Same { axis: domain }
                }
                AxisIndices::Run { start, step } if rest.is_empty() && (0..1 << 20).contains(step) => {
                    AxisMap::Strided { axis: domain, stride: step.unsigned_abs(), offset: *start as i32 }
                }
                AxisIndices::Run { start: 0, step: 1 } => {
                    AxisMap::Gather { axis: domain, span: own.len() as u8, list: IndexList::Identity(part.shape[axis]) }
                }
                run => AxisMap::Gather {
                    axis: domain,
                    span: own.len() as u8,
                    list: IndexList::List((0..part.shape[axis]).map(|i| run.at(i).unwrap_or(0)).collect()),
                },
            };
            maps[first as usize] = Some(map);
            for &covered in rest {
                maps[covered as usize] = None;
            }
        }
        maps.into_iter().flatten().collect()
    }

    /// Cells of each column of constants in the type of a value.
    fn constant_parts(&self, value: ValueId, data: &[i32]) -> Vec<Vec<i64>> {
        if self.is_float(value) {
            (0..FLOAT_PARTS).map(|part| data.iter().map(|&v| super::float::split(v)[part]).collect()).collect()
        } else {
            vec![data.iter().map(|&v| i64::from(v)).collect()]
        }
    }
}
