//! Lowers a [`Program`] to its constraint [`System`], the constants it commits to, and the plan by which a prover fills
//! the witness columns. Deterministic: anyone with the program derives the same verification key.
//!
//! A tensor is stored in one column whose axes are *atoms*: its logical axes, split where a later reshape needs it.
//! Reshape and transpose only change the *view* of a column. Only the outermost axis of
//! a column is not padded, so the axis that saves most padding is put there.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::field::F;
use crate::mle::index_bits;
use crate::program::{Op, Port, Program, ValueId};
use crate::system::{
    AxisMap, Column, ColumnId, Expr, Home, Instance, Layout, PublicPort, Source, System, Table, TableRows,
};

mod arrange;
mod constants;
mod contract;
mod copy;
mod elementwise;
mod embed;
mod extremum;
mod float;
mod matmul;
mod pool;
mod requant;
mod views;

pub use constants::TableKey;
use constants::{ClampKey, coefficient, expr};
pub use float::{
    FloatForm, FloatSources, FloatStep, Limbs, MAX_BOOST, RoundHints, align_squares, align_sum, split as split_float,
};
pub use requant::{RequantForm, RequantStep};
use views::{Signal, View};

/// Why a valid program has no constraint system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// A reshape mixes axes in a way that no common refinement of the axes expresses.
    #[error(
        "tensor `{tensor}`: this reshape regroups elements across axes, which is not supported; \
         reshape only by merging or splitting whole axes"
    )]
    Reshape {
        /// Name of the reshaped tensor.
        tensor: String,
    },
    /// A column does not hold exactly the tensor it stands for (a defect of the lowering).
    #[error("internal error: tensor `{tensor}` does not fit its column; please report the model")]
    Shape {
        /// Name of the tensor.
        tensor: String,
    },
    /// The system would exceed the proof system's limits.
    #[error("the model is too large for one proof: {0}")]
    TooLarge(crate::system::SystemError),
}

/// How the prover fills witness columns; in an order in which each step's inputs are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A column holds a value of the trace.
    Value {
        /// The value.
        value: ValueId,
        /// Its column.
        column: ColumnId,
        /// Column axes in the row-major order of the logical tensor.
        order: Vec<u8>,
        /// Which part of each element.
        part: ValuePart,
    },
    /// Hints of one requantisation block.
    Requant(RequantStep),
    /// `column = max(a, b)` over the domain of `instance`, of its sources 0 and 1.
    Max {
        /// The instance.
        instance: u32,
        /// Intermediate column to fill, if the result is not a value of the trace.
        column: Option<ColumnId>,
    },
    /// Marks of an extremum, and the extreme elements where the result is their index.
    Extremum {
        /// Position of the operation in the program.
        op: usize,
        /// Column of the extreme elements.
        extreme: Option<ColumnId>,
        /// Column of the marks.
        marks: ColumnId,
        /// Axis of `marks` that is reduced.
        reduced: u8,
        /// Column of the operation's output.
        output: ColumnId,
    },
    /// Hints of a float operation.
    Float(FloatStep),
}

/// What a column holds of a value's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValuePart {
    /// The integer.
    Integer,
    /// Part 0, 1 or 2 of a float, see [`split_float`].
    Float(u8),
}

/// The result of lowering.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The constraint system.
    pub system: System,
    /// Its layout.
    pub layout: Layout,
    /// Cells of the constant columns, row-major over real indices.
    pub constants: Vec<(ColumnId, Vec<F>)>,
    /// How to fill the witness.
    pub plan: Vec<Step>,
    /// The table sizes chosen.
    pub widths: Widths,
    /// The instances that came from each operation, as ranges into `system.instances`.
    pub instances_of_op: Vec<(usize, usize)>,
    /// The columns that came from each operation, as ranges into `system.columns`. Tables belong to the first operation
    /// that looks them up.
    pub columns_of_op: Vec<(usize, usize)>,
}

/// Table sizes of a lowering; [`lower`] chooses the cheapest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Bits of a range limb.
    pub limb: u8,
    /// Most bits of a clamp table.
    pub clamp: u8,
}

/// Lowers a validated program. Range widths are chosen by counting: the fewest leaves plus cells wins.
///
/// # Errors
/// [`LowerError`] names the tensor that cannot be expressed.
pub fn lower(program: &Program) -> Result<Lowered, LowerError> {
    let mut best: Option<(u64, Widths)> = None;
    let mut refinements = Refinements::new();
    for limb in [9u8, 10, 11, 12, 13, 14, 15, 16] {
        for clamp in [11u8, 13, 15, 17] {
            let widths = Widths { limb, clamp };
            let lowered = Lowering::run(program, widths, false, &mut refinements)?;
            // Committing a cell costs less than a leaf, but a commitment has a power of two of them.
            let cost = lowered.as_ref().map(|l| {
                let cells: u64 =
                    l.system.columns.iter().filter(|c| c.home == Home::Witness).map(Column::padded_cells).sum();
                4 * l.layout.leaf_len + cells + (1 << l.layout.witness_bits)
            });
            if let Some(cost) = cost
                && best.is_none_or(|(least, _)| cost < least)
            {
                best = Some((cost, widths));
            }
        }
    }
    finish(program, best.map_or(Widths { limb: 12, clamp: 16 }, |(_, w)| w), &mut refinements)
}

/// Lowers a validated program with given table sizes: [`lower`] without its search, for widths that it returned.
///
/// # Errors
/// [`LowerError`] names the tensor that cannot be expressed.
pub fn lower_with(program: &Program, widths: Widths) -> Result<Lowered, LowerError> {
    if !(9..=16).contains(&widths.limb) || !(11..=17).contains(&widths.clamp) {
        return Err(LowerError::TooLarge(crate::system::SystemError {
            part: "lowering",
            index: 0,
            rule: "table widths out of range",
        }));
    }
    let mut refinements = Refinements::new();
    Lowering::run(program, widths, false, &mut refinements)?;
    finish(program, widths, &mut refinements)
}

fn finish(program: &Program, widths: Widths, refinements: &mut Refinements) -> Result<Lowered, LowerError> {
    let lowered =
        Lowering::run(program, widths, true, refinements)?.ok_or(LowerError::TooLarge(crate::system::SystemError {
            part: "lowering",
            index: 0,
            rule: "no table widths fit",
        }))?;
    lowered.system.validate().map_err(LowerError::TooLarge)?;
    Ok(lowered)
}

/// A half-open range of indices.
type Range = (usize, usize);

/// The (value, logical axis, atom) that a column axis stands for.
type AtomOrigin = (ValueId, usize, usize);

/// Atom sizes forced by reshapes, per (value, logical axis); they do not depend on table widths.
type Refinements = BTreeMap<(ValueId, usize), Vec<u32>>;

/// State of one lowering pass.
pub(crate) struct Lowering<'p> {
    program: &'p Program,
    widths: Widths,
    with_constants: bool,
    refinements: Refinements,
    views: Vec<Option<View>>,
    /// For each column: the (value, logical axis, atom) behind each of its axes, where splitting is possible.
    column_atoms: BTreeMap<ColumnId, Vec<Option<AtomOrigin>>>,
    system: System,
    constants: Vec<(ColumnId, Vec<F>)>,
    plan: Vec<Step>,
    tables: BTreeMap<TableKey, u32>,
    public_roots: Vec<bool>,
    /// Exponent and sign columns of a float tensor, by its mantissa column.
    float_parts: BTreeMap<ColumnId, [ColumnId; 2]>,
    /// Level bits of the clamp tables, as far as they are known.
    level_bits: BTreeMap<ClampKey, u8>,
    /// Set when a clamp table was too narrow for a later operation.
    outgrown: bool,
    /// Set when the widths cannot express the program.
    infeasible: bool,
}

impl<'p> Lowering<'p> {
    fn run(
        program: &'p Program,
        widths: Widths,
        with_constants: bool,
        refinements: &mut Refinements,
    ) -> Result<Option<Lowered>, LowerError> {
        // Every restart splits one atom of some value; an axis of at most 2^28 splits at most 28 times.
        // The widths of clamp tables are known after one more.
        let mut level_bits = BTreeMap::new();
        for _ in 0..program.values.len() * 32 + 2 {
            let mut pass = Self {
                program,
                widths,
                with_constants,
                refinements: core::mem::take(refinements),
                views: vec![None; program.values.len()],
                column_atoms: BTreeMap::new(),
                system: System {
                    columns: Vec::new(),
                    instances: Vec::new(),
                    tables: Vec::new(),
                    contractions: Vec::new(),
                    products: Vec::new(),
                    inputs: Vec::new(),
                    outputs: Vec::new(),
                },
                constants: Vec::new(),
                plan: Vec::new(),
                tables: BTreeMap::new(),
                public_roots: public_roots(program),
                float_parts: BTreeMap::new(),
                level_bits: core::mem::take(&mut level_bits),
                outgrown: false,
                infeasible: false,
            };
            let result = pass.lower_all();
            *refinements = core::mem::take(&mut pass.refinements);
            level_bits = core::mem::take(&mut pass.level_bits);
            match result {
                Ok(_) if pass.outgrown && !pass.infeasible => {}
                Ok((instances_of_op, columns_of_op)) => {
                    if pass.infeasible {
                        return Ok(None);
                    }
                    let layout = Layout::new(&pass.system);
                    return Ok(Some(Lowered {
                        system: pass.system,
                        layout,
                        constants: pass.constants,
                        plan: pass.plan,
                        widths,
                        instances_of_op,
                        columns_of_op,
                    }));
                }
                Err(Signal::Split { value, axis, atoms }) => {
                    refinements.insert((value, axis), atoms);
                }
                Err(Signal::Fail(error)) => return Err(error),
            }
        }
        Err(LowerError::Reshape { tensor: String::new() })
    }

    /// Lowers every operation; returns the instances and the columns of each.
    fn lower_all(&mut self) -> Result<(Vec<Range>, Vec<Range>), Signal> {
        for port in &self.program.inputs {
            self.root_value(port.value);
        }
        let mut instances_of_op = Vec::with_capacity(self.program.ops.len());
        let mut columns_of_op = Vec::with_capacity(self.program.ops.len());
        for (index, op) in self.program.ops.iter().enumerate() {
            let start = (self.system.instances.len(), self.system.columns.len());
            match op {
                Op::Contract(c) => self.contract(index, c)?,
                Op::Add(a) => self.add(index, a)?,
                Op::Sum(s) => self.sum(index, s)?,
                Op::Lookup(l) => self.lookup(l)?,
                Op::MaxPool(m) => self.max_pool(m)?,
                Op::Rewire(r) => self.rewire(r)?,
                Op::Arrange(a) => self.arrange(a)?,
                Op::MatMul(m) => self.matmul(index, m)?,
                Op::Multiply(m) => self.multiply(index, m)?,
                Op::Extremum(e) => self.extremum(index, e)?,
                Op::Embed(e) => self.embed(e)?,
                Op::Float(f) => self.float(f)?,
            }
            instances_of_op.push((start.0, self.system.instances.len()));
            columns_of_op.push((start.1, self.system.columns.len()));
        }
        self.check_views()?;
        self.system.inputs = self.program.inputs.iter().map(|p| self.public_port(p)).collect::<Result<_, _>>()?;
        self.system.outputs = self.program.outputs.iter().map(|p| self.public_port(p)).collect::<Result<_, _>>()?;
        self.hide_unbound_columns();
        if self.system.tables.is_empty() {
            // A program that only moves data still needs a non-empty argument.
            self.range_table(self.widths.limb);
        }
        Ok((instances_of_op, columns_of_op))
    }

    /// A value behind an output that turned out to be a copy of it is bound by no port: it is witness.
    fn hide_unbound_columns(&mut self) {
        let ports = self.system.inputs.iter().chain(&self.system.outputs);
        let bound: Vec<ColumnId> =
            ports.flat_map(|p| core::iter::once(p.column).chain(p.float_parts.into_iter().flatten())).collect();
        for (id, column) in (0..).zip(&mut self.system.columns) {
            if column.home == Home::Public && !bound.contains(&id) {
                column.home = Home::Witness;
            }
        }
    }

    /// Every logical axis of every tensor is exactly the product of its column axes, and no cell is left over.
    fn check_views(&self) -> Result<(), Signal> {
        for (value, view) in self.program.values.iter().zip(&self.views) {
            let Some(view) = view else { continue };
            let sizes_fit = value.shape.len() == view.axes.len()
                && value.shape.iter().enumerate().all(|(axis, &size)| {
                    self.axis_sizes(view, axis).iter().map(|&s| u64::from(s)).product::<u64>() == u64::from(size)
                });
            let cells = self.system.columns[view.column as usize].real_cells();
            if !sizes_fit || cells != value.len() as u64 {
                return Err(Signal::Fail(LowerError::Shape { tensor: value.name.clone() }));
            }
        }
        Ok(())
    }

    fn public_port(&self, port: &Port) -> Result<PublicPort, Signal> {
        let view = self.view(port.value)?;
        let value = &self.program.values[port.value as usize];
        Ok(PublicPort {
            name: port.name.clone(),
            port_type: port.port_type,
            leading_batch: port.leading_batch,
            shape: value.shape.clone(),
            quantisation: value.quantisation,
            column: view.column,
            float_parts: if self.is_float(port.value) { self.float_parts.get(&view.column).copied() } else { None },
            order: self.full_order(view),
        })
    }

    fn new_column(&mut self, home: Home, dims: Vec<u32>) -> ColumnId {
        self.system.columns.push(Column { home, dims });
        (self.system.columns.len() - 1) as ColumnId
    }

    fn new_constant(&mut self, dims: Vec<u32>, cells: impl FnOnce() -> Vec<F>) -> ColumnId {
        let id = self.new_column(Home::Constants, dims);
        if self.with_constants {
            self.constants.push((id, cells()));
        }
        id
    }

    fn new_instance(&mut self, dims: Vec<u32>, sources: Vec<Source>) -> usize {
        self.system.instances.push(Instance { dims, sources, lookups: Vec::new() });
        self.system.instances.len() - 1
    }

    fn push_lookup(&mut self, instance: usize, table: u32, tuple: Vec<Expr>) {
        self.system.instances[instance].lookups.push(crate::system::LookupArgument { table, tuple });
    }

    /// Proves that an expression is zero on the whole domain: zero is the only row of the one-row table.
    fn vanish(&mut self, instance: usize, value: Expr) {
        let table = self.range_table(0);
        self.push_lookup(instance, table, vec![value]);
    }

    /// Proves over a new domain that each source of `x` equals the source of `y` at the same position.
    fn equate(&mut self, dims: Vec<u32>, x: Vec<Source>, y: Vec<Source>) {
        let count = y.len() as u16;
        let instance = self.new_instance(dims, x.into_iter().chain(y).collect());
        for i in 0..count {
            self.vanish(instance, expr(vec![(1, i), (coefficient(-1), count + i)]));
        }
    }

    fn table(&mut self, key: TableKey, rows: impl FnOnce(&mut Self) -> TableRows) -> u32 {
        if let Some(&id) = self.tables.get(&key) {
            return id;
        }
        let rows = rows(self);
        let count = self.system.table_rows(&rows) as u32;
        let multiplicity = self.new_column(Home::Witness, vec![count]);
        self.system.tables.push(Table { rows, multiplicity });
        let id = (self.system.tables.len() - 1) as u32;
        self.tables.insert(key, id);
        id
    }

    fn range_table(&mut self, bits: u8) -> u32 {
        self.table(TableKey::Range(bits), |_| TableRows::Range { bits })
    }
}

/// Which values are stored in a public column if they own one: graph inputs and outputs, and the values that outputs
/// are views of.
fn public_roots(program: &Program) -> Vec<bool> {
    let mut source: Vec<Option<ValueId>> = vec![None; program.values.len()];
    for op in &program.ops {
        if let Op::Rewire(r) = op {
            source[r.output as usize] = Some(r.input);
        }
    }
    let mut public = vec![false; program.values.len()];
    for port in program.inputs.iter().chain(&program.outputs) {
        let mut at = Some(port.value);
        while let Some(value) = at {
            public[value as usize] = true;
            at = source[value as usize];
        }
    }
    public
}

/// `Same` maps for a column stored over exactly the domain.
fn same_maps(rank: usize) -> Vec<AxisMap> {
    (0..rank).map(|axis| AxisMap::Same { axis: axis as u8 }).collect()
}

/// Bits of a signed table holding `min..=max`.
fn signed_bits(min: i64, max: i64) -> u8 {
    let magnitude = max.max(-(min + 1)).max(0) as u64;
    (index_bits(magnitude + 1) + 1) as u8
}
