//! Mean of exact integers: the summands of one table are integers in a common unit, so that their sum `N` is exact.
//!
//! `out` is nearest to `N / count` in that unit: `Z = N 2^i`, `U = count 2^j`, with `i j = 0` chosen by the exponent of
//! the result. `|N| <= 2^(57 - i)` keeps `Z` below 2^57.

use alloc::vec;
use alloc::vec::Vec;

use super::super::constants::{coefficient, single};
use super::super::elementwise::domain_axes;
use super::super::views::Signal;
use super::super::{LowerError, Lowering, same_maps};
use super::{BIAS, FloatForm, Linear, keyed};
use crate::field::from_i64;
use crate::mle::index_bits;
use crate::program::{IntegerTable, ValueId};
use crate::system::{AxisMap, Expr, Home, Source};

impl Lowering<'_> {
    pub(super) fn float_mean(
        &mut self,
        output: ValueId,
        input: ValueId,
        (table, weights): (&[u32], &[i32]),
        axes: &[u8],
        count: u32,
    ) -> Result<(), Signal> {
        let view = self.view(input)?.clone();
        let name = &self.program.values[input as usize];
        let Some(integers) = IntegerTable::new(table) else {
            return Err(Signal::Fail(LowerError::Shape { tensor: name.name.clone() }));
        };
        let rank = name.shape.len();
        let lo = i64::from(name.quantisation.lo());
        // The integers behind the input, over the input's own cells.
        let atoms: Vec<Vec<u32>> = (0..rank).map(|a| self.axis_sizes(&view, a)).collect();
        let dims: Vec<u32> = if rank == 0 { vec![1] } else { atoms.iter().flatten().copied().collect() };
        let column = self.new_column(Home::Witness, dims.clone());
        let maps = self.read_maps(&view, domain_axes(&atoms));
        let mut sources =
            vec![Source::Column { column: view.column, maps }, Source::Column { column, maps: same_maps(dims.len()) }];
        // Weights by channel: the table lists the integers once per distinct weight, the key says which list.
        let mut classes: Vec<i32> = weights.to_vec();
        classes.sort_unstable();
        classes.dedup();
        let mut key = Expr { terms: vec![(1, 0)], constant: coefficient(1 - lo), index_coefficient: 0 };
        if let [_, _, ..] = classes.as_slice() {
            let class = |w: &i32| classes.binary_search(w).unwrap_or(0) as i64;
            let cells = weights.iter().map(|w| from_i64(class(w))).collect();
            let own = atoms[rank - 1].clone();
            let maps = (dims.len() - own.len()..dims.len()).map(|axis| AxisMap::Same { axis: axis as u8 }).collect();
            let constant = self.new_constant(own, || cells);
            sources.push(Source::Column { column: constant, maps });
            key.terms.push((coefficient(table.len() as i64), 2));
        }
        if classes.is_empty() {
            classes.push(1);
        }
        let lookup = self.new_instance(dims, sources);
        let listed: Vec<i64> =
            classes.iter().flat_map(|&w| integers.integers.iter().map(move |&v| v * i64::from(w))).collect();
        let rows =
            vec![(0..=listed.len() as i64).collect(), core::iter::once(0).chain(listed.iter().copied()).collect()];
        let rows = self.row_table(rows);
        self.push_lookup(lookup, rows, vec![key, single(1)]);
        let class = (classes.len() > 1).then_some((2, table.len()));
        self.float_step(lookup, FloatForm::Integers { input: 0, class, lo, table: listed, column });

        // The mean, over the output's cells.
        let summed = |axis: usize| axes.contains(&(axis as u8));
        let (result, out_atoms) = self.reduced_output(output, &view, summed)?;
        let out_dims = self.column_dims(result).to_vec();
        let out_axis = domain_axes(&out_atoms);
        // The column of integers lists the atoms of all axes in logical order.
        let mut total_maps = Vec::new();
        for (axis, own) in atoms.iter().enumerate() {
            for atom in 0..own.len() {
                let domain = if summed(axis) { None } else { out_axis(axis, atom) };
                total_maps.push(domain.map_or(AxisMap::Sum, |axis| AxisMap::Same { axis }));
            }
        }
        if total_maps.is_empty() {
            total_maps.push(AxisMap::Sum);
        }
        let instance = self.new_instance(out_dims.clone(), vec![Source::Column { column, maps: total_maps }]);
        let out = self.float_sources(instance, result, &same_maps(out_dims.len()));
        let (row, [up, down, bound]) = self.hints::<3>(instance);
        let table = self.mean_table(36 - i64::from(index_bits(u64::from(count) + 1)));
        let unit_exponent = i64::from(integers.unit) + BIAS;
        let k = Linear::of(&[(1, out[1])]).plus(-unit_exponent);
        self.push_lookup(instance, table, keyed(&k, &[out[2], up, down, bound]));
        let inside = [1, -1].map(|sign| self.non_negative(instance, &Linear::of(&[(1, bound), (sign, 0)]), 58));
        let scaled = self.times(instance, 0, up);
        let count = i64::from(count);
        let round = self.round(instance, out, &Linear::of(&[(1, scaled)]), (down, count), 40);
        let form = FloatForm::Mean { total: 0, unit_exponent, count, out, row, inside, round };
        self.float_step(instance, form);
        Ok(())
    }
}
