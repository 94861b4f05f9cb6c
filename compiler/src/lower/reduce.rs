//! ReduceMean and ReduceSum in single precision, in the order in which ONNX Runtime adds.

use vinfer_circuits::ops::{AxisIndices, Operand};
use vinfer_circuits::program::{IntegerTable, ValueId};

use super::Lowering;
use super::float::FloatTensor;
use super::state::{Real, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

impl Lowering<'_> {
    pub(super) fn reduce_floats(&mut self, node: &Node) -> Result<State, CompileError> {
        let real = self.function_of(node, 0)?;
        let shape = self.value_ref(real.value).shape.clone();
        let axes = self.reduced_axes(node, shape.len())?;
        let Some(axes) = axes else { return Ok(State::Real(real)) };
        let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
        let count: usize = axes.iter().map(|&a| shape[a] as usize).product();
        let outer: usize = kept.iter().map(|&a| shape[a] as usize).product();
        let x = self.materialised(node, &real)?;
        let sum = self.sum_of(node, &real, x, &shape, &axes, (outer, count))?;
        let value = if node.op == "ReduceMean" { self.over_count(node, sum, count)? } else { sum };
        let keep = node.int("keepdims", 1)? != 0;
        let out: Vec<u32> = if keep {
            (0..shape.len()).map(|a| if axes.contains(&a) { 1 } else { shape[a] }).collect()
        } else {
            kept.iter().map(|&a| shape[a]).collect()
        };
        let value = self.reshaped(node, value, out.clone())?;
        Ok(State::Float(FloatTensor { value, shape: out, curves: None }))
    }

    /// The reduced axes in ascending order; `None` where the operator is the identity.
    pub(super) fn reduced_axes(&self, node: &Node, rank: usize) -> Result<Option<Vec<usize>>, CompileError> {
        let list = match node.ints("axes")? {
            Some(axes) => Some(axes.to_vec()),
            None => self.integer_list(node, 1)?,
        };
        let mut axes: Vec<usize> = match list {
            Some(list) if !list.is_empty() => {
                if list.len() > 8 {
                    return Err(node.bad_attribute("axes", "too many axes"));
                }
                list.into_iter().map(|a| shapes::axis(node, a, rank)).collect::<Result<_, _>>()?
            }
            _ if node.int("noop_with_empty_axes", 0)? != 0 => return Ok(None),
            _ => (0..rank).collect(),
        };
        axes.sort_unstable();
        if axes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(node.bad_attribute("axes", "repeated axes"));
        }
        Ok(Some(axes))
    }

    /// `[outer, 1]` sums of `count` elements each.
    fn sum_of(
        &mut self,
        node: &Node,
        real: &Real,
        x: ValueId,
        shape: &[u32],
        axes: &[usize],
        (outer, count): (usize, usize),
    ) -> Result<ValueId, CompileError> {
        let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
        // Runs of neighbouring axes of one kind: true for reduced ones.
        let mut runs: Vec<(bool, u64)> = Vec::new();
        for (axis, &size) in shape.iter().enumerate() {
            let reduced = axes.contains(&axis);
            match runs.last_mut() {
                Some((kind, n)) if *kind == reduced => *n *= u64::from(size),
                _ => runs.push((reduced, u64::from(size))),
            }
        }
        let table: Vec<u32> = real.table().iter().map(|&v| vinfer_circuits::ops::float::to_bits(v) as u32).collect();
        let exact = IntegerTable::new(&table).is_some_and(|t| t.reach().saturating_mul(count as u64) < 1 << 24);
        let kinds: Vec<bool> = runs.iter().map(|r| r.0).collect();
        let rows_of = |this: &mut Self| {
            let permutation = kept.iter().chain(axes).map(|&a| a as u8).collect();
            let value = this.transposed(node, x, permutation)?;
            this.reshaped(node, value, vec![outer as u32, count as u32])
        };
        let threads = match kinds.as_slice() {
            // Up to four elements are added one after the other, whatever the order of blocks.
            [false, true, false] => runs[0].1 >= 2 && count > 4,
            [true, false, true] => runs[1].1 >= 2,
            _ => false,
        };
        if threads && !exact {
            return Err(node.unsupported(
                "ONNX Runtime's order of summation over these axes depends on its number of threads",
                "reduce trailing axes, or a batch of 1",
            ));
        }
        let rows = rows_of(self)?;
        match kinds.as_slice() {
            [false, true] | [true] if !exact => self.row_sums(node, rows, outer, count),
            _ => self.running_sum(node, rows, 1),
        }
    }

    /// Sums of matrix rows in four lanes that start at multiples of four elements in memory.
    fn row_sums(&mut self, node: &Node, rows: ValueId, outer: usize, count: usize) -> Result<ValueId, CompileError> {
        let period = match count % 4 {
            0 => 1,
            2 => 2,
            _ => 4,
        }
        .min(outer);
        let groups = outer.div_ceil(period);
        let mut sums = Vec::with_capacity(period);
        for class in 0..period {
            let last = outer - 1;
            let own: Vec<u32> = (0..groups).map(|g| (g * period + class).min(last) as u32).collect();
            let indices = vec![super::arrange::indices(own), AxisIndices::Run { start: 0, step: 1 }];
            let shape = vec![groups as u32, count as u32];
            let own = if period == 1 { rows } else { self.selected(node, rows, indices, shape)? };
            sums.push(self.aligned_sum(node, own, count, class * count % 4)?);
        }
        if let [one] = sums.as_slice() {
            return Ok(*one);
        }
        let all = self.concatenated(node, &sums, 1)?;
        let all = self.reshaped(node, all, vec![(groups * period) as u32, 1])?;
        self.sliced(node, all, 0, 0, outer as u32)
    }

    /// Row sums where the first element lies `offset` elements behind a multiple of four.
    fn aligned_sum(&mut self, node: &Node, x: ValueId, n: usize, offset: usize) -> Result<ValueId, CompileError> {
        let start = ((4 - offset) % 4).min(n);
        let (pairs, end) = (start + (n - start) / 8 * 8, start + (n - start) / 4 * 4);
        if end == start {
            return self.running_sum(node, x, 1);
        }
        let rows = self.value_ref(x).shape[0];
        let lanes = |this: &mut Self, from: usize, to: usize, width: usize| {
            let part = this.sliced(node, x, 1, from as u32, (to - from) as u32)?;
            let part = this.reshaped(node, part, vec![rows, ((to - from) / width) as u32, width as u32])?;
            let sum = this.running_sum(node, part, 1)?;
            this.reshaped(node, sum, vec![rows, width as u32])
        };
        let mut four = if pairs > start {
            let eight = lanes(self, start, pairs, 8)?;
            let four = self.fold_halves(node, eight)?;
            if end > pairs {
                let rest = self.sliced(node, x, 1, pairs as u32, 4)?;
                self.plus(node, four, Operand::Value(rest))?
            } else {
                four
            }
        } else {
            lanes(self, start, end, 4)?
        };
        four = self.fold_halves(node, four)?;
        let mut sum = self.fold_halves(node, four)?;
        for i in (0..start).chain(end..n) {
            let own = self.sliced(node, x, 1, i as u32, 1)?;
            sum = self.plus(node, sum, Operand::Value(own))?;
        }
        Ok(sum)
    }
}
