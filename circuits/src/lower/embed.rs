//! Lowering of `Embed`: the table is a constant column of which the public indices select the rows.

use alloc::vec;
use alloc::vec::Vec;

use super::Lowering;
use super::views::Signal;
use crate::field::from_i64;
use crate::ops::Embed;
use crate::system::{AxisMap, IndexList, Source, domain_len};

impl Lowering<'_> {
    pub(super) fn embed(&mut self, op: &Embed) -> Result<(), Signal> {
        let (column, atoms) = self.root_value(op.output);
        let last = atoms.len() - 1;
        let inner = &atoms[last];
        let outer_span: usize = atoms[..last].iter().map(Vec::len).sum();
        let count: u32 = atoms[..last].iter().flatten().product();
        let mut dims = vec![count];
        dims.extend(inner);
        // Rows outermost or innermost, whichever pads less.
        let rows_first = [&[op.rows], inner.as_slice()].concat();
        let rows_last = [inner.as_slice(), &[op.rows]].concat();
        let first = domain_len(&rows_first) <= domain_len(&rows_last);
        let width: usize = inner.iter().map(|&d| d as usize).product();
        let (rows, table) = (op.rows as usize, &op.table);
        let cell = |row: usize, at: usize| from_i64(i64::from(table[row * width + at]));
        let weights = self.new_constant(if first { rows_first } else { rows_last }, || {
            if first {
                table.iter().map(|&v| from_i64(i64::from(v))).collect()
            } else {
                (0..width).flat_map(|at| (0..rows).map(move |row| (row, at))).map(|(row, at)| cell(row, at)).collect()
            }
        });
        let input = self.program.inputs.iter().position(|p| p.value == op.indices).unwrap_or(0) as u32;
        let mut maps: Vec<AxisMap> = (1..dims.len()).map(|axis| AxisMap::Same { axis: axis as u8 }).collect();
        maps.insert(if first { 0 } else { maps.len() }, AxisMap::Selected { axis: 0, input });
        let mut y_maps = Vec::new();
        if outer_span > 0 {
            y_maps.push(AxisMap::Gather { axis: 0, span: outer_span as u8, list: IndexList::Identity(count) });
        }
        y_maps.extend((1..dims.len()).map(|axis| AxisMap::Same { axis: axis as u8 }));
        let selected = Source::Column { column: weights, maps };
        self.equate(dims, vec![selected], vec![Source::Column { column, maps: y_maps }]);
        Ok(())
    }
}
