//! Values of an instance's sources over its domain, read by blocks of the outermost axis.

use std::ops::Range;

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;
use vinfer_circuits::field::{F, MODULUS};
use vinfer_circuits::functional::strided;
use vinfer_circuits::system::{AxisMap, Expr, Instance, Source, System, domain_bits};

use crate::kernels::add_scaled;

/// Cells that one task fills.
const BLOCK: usize = 1 << 14;
/// Marks an index at which nothing is read.
const ABSENT: usize = usize::MAX;

/// In which order, and with which gaps, positions of a domain are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Positions {
    /// All axes but the outermost padded to powers of two; pads are zero.
    Padded,
    /// Real positions only.
    Real,
}

/// Cells read at the indices of one axis.
enum Offsets {
    /// `index * stride`.
    Every(usize),
    /// One offset for each index, or [`ABSENT`].
    List(Vec<usize>),
}

impl Offsets {
    fn at(&self, index: usize) -> usize {
        match self {
            Self::Every(stride) => index * stride,
            Self::List(list) => list[index],
        }
    }
}

struct Axis {
    offsets: Offsets,
    size: usize,
    /// Positions written for each index.
    inner: usize,
}

/// A tensor of cells read over a domain. Axes of size 1 are dropped and neighbouring axes merged where one run of cells
/// goes to one run of positions.
struct View<'a> {
    cells: &'a [F],
    start: usize,
    /// At least one; the last has one position per index.
    axes: Vec<Axis>,
    /// Indices of `axes[0]` for each index of the domain's axis 0.
    factor: usize,
    /// Offsets that are summed at each position.
    terms: Vec<usize>,
}

impl<'a> View<'a> {
    /// `None` if nothing is read anywhere.
    fn new(
        cells: &'a [F],
        dims: &[u32],
        offsets: Vec<Offsets>,
        terms: Vec<usize>,
        positions: Positions,
    ) -> Option<Self> {
        let mut axes: Vec<Axis> = Vec::new();
        let (mut start, mut factor) = (0, 1);
        let mut inner = 1usize;
        for ((at, &size), offsets) in dims.iter().enumerate().zip(offsets).rev() {
            let size = size as usize;
            let axis = Axis { offsets, size, inner };
            inner *= if positions == Positions::Padded { size.next_power_of_two() } else { size };
            if at > 0 && size == 1 {
                match axis.offsets.at(0) {
                    ABSENT => return None,
                    offset => start += offset,
                }
                continue;
            }
            if let Some(below) = axes.last_mut()
                && let (Offsets::Every(outer), Offsets::Every(stride)) = (&axis.offsets, &below.offsets)
                && *outer == below.size * stride
                && axis.inner == below.size * below.inner
            {
                if at == 0 {
                    factor = below.size;
                }
                below.size *= size;
                continue;
            }
            axes.push(axis);
        }
        axes.reverse();
        Some(Self { cells, start, axes, factor, terms })
    }

    /// Writes the positions of some indices of the domain's axis 0.
    fn read(&self, outer: Range<usize>, out: &mut [F]) {
        self.fill(0, self.start, outer.start * self.factor, out);
    }

    /// Writes the positions of an axis from index `first` on, and pads behind its last index.
    fn fill(&self, axis: usize, base: usize, first: usize, out: &mut [F]) {
        let Axis { offsets, size, inner } = &self.axes[axis];
        let real = ((size - first) * inner).min(out.len());
        let (out, pads) = out.split_at_mut(real);
        pads.fill(F::ZERO);
        if axis + 1 == self.axes.len() {
            return self.fill_last(offsets, base, first, out);
        }
        for (i, out) in out.chunks_exact_mut(*inner).enumerate() {
            match offsets.at(first + i) {
                ABSENT => out.fill(F::ZERO),
                offset => self.fill(axis + 1, base + offset, 0, out),
            }
        }
    }

    fn fill_last(&self, offsets: &Offsets, base: usize, first: usize, out: &mut [F]) {
        let cells = self.cells;
        let single = self.terms.len() == 1;
        match offsets {
            Offsets::Every(1) if single => out.copy_from_slice(&cells[base + first..][..out.len()]),
            Offsets::Every(0) if single => out.fill(cells[base]),
            Offsets::Every(stride) if single => {
                let own = cells[base + first * stride..].iter().step_by(*stride);
                out.iter_mut().zip(own).for_each(|(slot, &v)| *slot = v);
            }
            Offsets::List(list) if single => {
                for (slot, &offset) in out.iter_mut().zip(&list[first..]) {
                    *slot = if offset == ABSENT { F::ZERO } else { cells[base + offset] };
                }
            }
            _ => {
                for (i, slot) in out.iter_mut().enumerate() {
                    let offset = offsets.at(first + i);
                    let sum = || self.terms.iter().map(|&t| cells[base + offset + t]).sum();
                    *slot = if offset == ABSENT { F::ZERO } else { sum() };
                }
            }
        }
    }
}

/// What a source reads.
enum Values<'a> {
    Zero,
    Cells(View<'a>),
    /// The product of two columns, or nothing where one of them reads nothing.
    Product(View<'a>, View<'a>),
}

/// The sources of one instance.
pub(crate) struct Reader<'a> {
    /// Indices of the outermost axis.
    pub(crate) outer: usize,
    /// Positions for each of them.
    pub(crate) inner: usize,
    sources: Vec<Values<'a>>,
}

impl<'a> Reader<'a> {
    /// `cells` gives the cells of a column, `stored` the values of a contraction or summed product, by source.
    pub(crate) fn new(
        system: &System,
        instance: &Instance,
        positions: Positions,
        cells: impl Fn(u32) -> &'a [F],
        stored: impl Fn(usize) -> Option<&'a [F]>,
    ) -> Self {
        let dims = &instance.dims;
        let column = |column: u32, maps: &[AxisMap]| {
            let (offsets, terms) = column_offsets(dims, &system.columns[column as usize].dims, maps);
            View::new(cells(column), dims, offsets, terms, positions)
        };
        let own = |values: &'a [F]| {
            let mut offsets: Vec<Offsets> = Vec::with_capacity(dims.len());
            let mut stride = 1;
            for &d in dims.iter().rev() {
                offsets.push(Offsets::Every(stride));
                stride *= d as usize;
            }
            offsets.reverse();
            View::new(values, dims, offsets, vec![0], positions)
        };
        let values = |(at, source): (usize, &Source)| {
            let view = match source {
                Source::Column { column: id, maps } => column(*id, maps),
                Source::Product { product } => {
                    let p = &system.products[*product as usize];
                    match stored(at) {
                        None if p.summed.is_empty() => {
                            let pair = column(p.a.column, &p.a.maps).zip(column(p.b.column, &p.b.maps));
                            return pair.map_or(Values::Zero, |(a, b)| Values::Product(a, b));
                        }
                        values => values.and_then(own),
                    }
                }
                Source::Contraction { .. } => stored(at).and_then(own),
                Source::OutsideWindow { axis, stride, offset, size } => {
                    let inside = |i: u32| strided(i, *stride, i64::from(*offset), *size).is_some();
                    let marks = (0..dims[*axis as usize]).map(|i| if inside(i) { ABSENT } else { 0 }).collect();
                    let mut offsets: Vec<Offsets> = dims.iter().map(|_| Offsets::Every(0)).collect();
                    offsets[*axis as usize] = Offsets::List(marks);
                    View::new(&[F::ONE], dims, offsets, vec![0], positions)
                }
            };
            view.map_or(Values::Zero, Values::Cells)
        };
        let (outer, inner) = (dims[0] as usize, &dims[1..]);
        let inner = match positions {
            Positions::Padded => 1 << domain_bits(inner),
            Positions::Real => inner.iter().map(|&d| d as usize).product(),
        };
        Self { outer, inner, sources: instance.sources.iter().enumerate().map(values).collect() }
    }

    /// Writes the values of a source at the positions of some indices of the outermost axis.
    pub(crate) fn read(&self, source: usize, outer: Range<usize>, out: &mut [F]) {
        match &self.sources[source] {
            Values::Zero => out.fill(F::ZERO),
            Values::Cells(view) => view.read(outer, out),
            Values::Product(a, b) => {
                let mut other = vec![F::ZERO; out.len()];
                a.read(outer.clone(), out);
                b.read(outer, &mut other);
                out.iter_mut().zip(other).for_each(|(a, b)| *a *= b);
            }
        }
    }

    /// Indices of the outermost axis that make a block of about `cells` positions.
    pub(crate) fn rows(&self, cells: usize) -> usize {
        (cells / self.inner.max(1)).max(1)
    }

    /// All values of a source.
    pub(crate) fn whole(&self, source: usize) -> Vec<F> {
        let mut out = vec![F::ZERO; self.outer * self.inner];
        let rows = self.rows(BLOCK);
        out.par_chunks_mut((rows * self.inner).max(1)).enumerate().for_each(|(block, out)| {
            let end = ((block + 1) * rows).min(self.outer);
            self.read(source, block * rows..end, out);
        });
        out
    }

    /// Writes the values of an expression over a block of [`Positions::Real`]; `sources` holds the block of every source
    /// it names.
    pub(crate) fn combine(&self, expr: &Expr, sources: &[Vec<F>], outer: Range<usize>, out: &mut Vec<F>) {
        out.clear();
        out.resize(outer.len() * self.inner, F::ZERO);
        for &(coefficient, source) in &expr.terms {
            let values = &sources[source as usize];
            match coefficient {
                1 => out.iter_mut().zip(values).for_each(|(o, &v)| *o += v),
                c if c == MODULUS - 1 => out.iter_mut().zip(values).for_each(|(o, &v)| *o -= v),
                c => add_scaled(out, values, F::from_u64(c)),
            }
        }
        if expr.constant != 0 || expr.index_coefficient != 0 {
            let (constant, slope) = (F::from_u64(expr.constant), F::from_u64(expr.index_coefficient));
            for (row, index) in out.chunks_mut(self.inner.max(1)).zip(outer) {
                let add = constant + slope * F::from_u64(index as u64);
                row.iter_mut().for_each(|v| *v += add);
            }
        }
    }
}

/// Cells that each index of each domain axis reads, and the offsets summed at each position.
fn column_offsets(domain: &[u32], dims: &[u32], maps: &[AxisMap]) -> (Vec<Offsets>, Vec<usize>) {
    let mut strides = vec![1usize; dims.len()];
    for axis in (0..dims.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * dims[axis + 1] as usize;
    }
    let mut offsets: Vec<Offsets> = domain.iter().map(|_| Offsets::Every(0)).collect();
    let mut terms = vec![0usize];
    let mut at = 0usize;
    for map in maps {
        match map {
            AxisMap::Same { axis } => offsets[*axis as usize] = Offsets::Every(strides[at]),
            AxisMap::Gather { axis, span, list } => {
                let inner = strides[at + *span as usize - 1];
                offsets[*axis as usize] = Offsets::List(list.iter().map(|i| i as usize * inner).collect());
            }
            AxisMap::Strided { axis, stride, offset } => {
                let read = |i: u32| strided(i, *stride, i64::from(*offset), dims[at]);
                let list = (0..domain[*axis as usize]).map(|i| read(i).map_or(ABSENT, |x| x as usize * strides[at]));
                offsets[*axis as usize] = Offsets::List(list.collect());
            }
            // A selected axis has become a gather.
            AxisMap::Sum | AxisMap::Selected { .. } => {
                let indices = 0..dims[at] as usize;
                let stride = strides[at];
                terms = terms.iter().flat_map(|&t| indices.clone().map(move |i| t + i * stride)).collect();
            }
        }
        at += map.span();
    }
    // Lists that are runs after all.
    for list in &mut offsets {
        if let Offsets::List(own) = list
            && let [0, stride, ..] = own[..]
            && own.iter().enumerate().all(|(i, &o)| o == i * stride)
        {
            *list = Offsets::Every(stride);
        }
    }
    (offsets, terms)
}
