//! The constraint system of a program: columns, lookups, contractions and public ports, without any constant. It is
//! what a verification key holds and all that a verifier interprets.
//!
//! Everything proven is one of two things:
//! * **lookups**: at every position of a domain, a tuple of linear expressions of columns is a row of a table;
//! * **contractions and products**: a value used in such an expression is a bilinear form of two columns.
//!
//! Rule of pads: a domain axis is padded to a power of two (all but the outermost). At pad positions every source and
//! every constant is zero, and every table holds the all-zero tuple. No source ever reads a pad cell of a column.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::mle::index_bits;
use crate::program::{PortType, Quantisation};

mod layout;
mod product;
mod select;
mod validate;
pub use layout::{Layout, LeafOwner, LeafSegment};
pub use validate::SystemError;

/// Index into [`System::columns`].
pub type ColumnId = u32;

/// Where the cells of a column live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Home {
    /// In the witness commitment.
    Witness,
    /// In the commitment to the model's constants.
    Constants,
    /// Public: the bytes of the statement; the verifier evaluates it itself.
    Public,
}

/// A tensor of field elements. The cell index concatenates the bits of the axis indices, axis 0 most significant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Where it lives.
    pub home: Home,
    /// Real axis sizes.
    pub dims: Vec<u32>,
}

impl Column {
    /// Bits of each axis.
    pub fn axis_bits(&self) -> Vec<u32> {
        self.dims.iter().map(|&d| index_bits(u64::from(d))).collect()
    }

    /// Bits of the whole index.
    pub fn bits(&self) -> u32 {
        domain_bits(&self.dims)
    }

    /// Number of real cells.
    pub fn real_cells(&self) -> u64 {
        self.dims.iter().map(|&d| u64::from(d)).product()
    }

    /// Cells occupied: every axis but the outermost padded to a power of two.
    pub fn padded_cells(&self) -> u64 {
        domain_len(&self.dims)
    }
}

/// Bits of a domain or column index.
pub fn domain_bits(dims: &[u32]) -> u32 {
    dims.iter().map(|&d| index_bits(u64::from(d))).sum()
}

/// Padded length: outermost size times the padded inner sizes.
pub fn domain_len(dims: &[u32]) -> u64 {
    match dims.split_first() {
        None => 1,
        Some((&outer, inner)) => u64::from(outer) << domain_bits(inner),
    }
}

/// A list of indices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexList {
    /// `0, 1, .., n-1`.
    Identity(u32),
    /// Explicit.
    List(Vec<u32>),
}

impl IndexList {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Identity(n) => *n as usize,
            Self::List(list) => list.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (n, list): (u32, &[u32]) = match self {
            Self::Identity(n) => (*n, &[]),
            Self::List(list) => (0, list),
        };
        (0..n).chain(list.iter().copied())
    }
}

/// How one axis (or a run of axes) of a column is addressed from a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AxisMap {
    /// Column index = domain index of `axis`; equal sizes.
    Same {
        /// Domain axis.
        axis: u8,
    },
    /// Column index (row-major over the next `span` column axes) = `list[domain index of axis]`.
    Gather {
        /// Domain axis.
        axis: u8,
        /// Column axes covered.
        span: u8,
        /// One entry per domain index.
        list: IndexList,
    },
    /// Column index = `stride * domain index + offset`; nothing where that is outside the column.
    Strided {
        /// Domain axis.
        axis: u8,
        /// Multiplier.
        stride: u32,
        /// Added offset.
        offset: i32,
    },
    /// Column index = element `i` of public input `input`, for domain index `i` (row-major): rows of a constant table
    /// selected by the statement. Becomes a `Gather` when the statement is known, see [`System::select`].
    Selected {
        /// Domain axis, as long as the input has elements.
        axis: u8,
        /// Index into [`System::inputs`].
        input: u32,
    },
    /// Sum over the whole column axis.
    Sum,
}

impl AxisMap {
    /// Column axes covered.
    pub const fn span(&self) -> usize {
        if let Self::Gather { span, .. } = self { *span as usize } else { 1 }
    }

    /// The domain axis that drives it.
    pub const fn axis(&self) -> Option<u8> {
        match self {
            Self::Same { axis }
            | Self::Gather { axis, .. }
            | Self::Strided { axis, .. }
            | Self::Selected { axis, .. } => Some(*axis),
            Self::Sum => None,
        }
    }
}

/// A quantity with one value per domain position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Cells of a column; domain axes that no map names are broadcast over real positions.
    Column {
        /// The column.
        column: ColumnId,
        /// One entry per column axis (a `Gather` covers `span` axes).
        maps: Vec<AxisMap>,
    },
    /// `contraction[rows[domain index of axis 0], other domain axes]`.
    Contraction {
        /// Index into [`System::contractions`].
        contraction: u32,
        /// Row of the contraction for each index of domain axis 0.
        rows: IndexList,
    },
    /// A product of two columns; its domain is the instance's.
    Product {
        /// Index into [`System::products`].
        product: u32,
    },
    /// 1 at real positions where `stride * index + offset` leaves `0..size`, else 0 (padding of a window).
    OutsideWindow {
        /// Domain axis.
        axis: u8,
        /// Multiplier.
        stride: u32,
        /// Added offset.
        offset: i32,
        /// Length of the input axis.
        size: u32,
    },
}

/// A linear expression of an instance's sources, zero at pads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expr {
    /// `(canonical coefficient, source index)`.
    pub terms: Vec<(u64, u16)>,
    /// Canonical constant at real positions.
    pub constant: u64,
    /// Canonical coefficient of the index on domain axis 0, at real positions.
    pub index_coefficient: u64,
}

/// One lookup per domain position: `tuple` is a row of `table`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupArgument {
    /// Index into [`System::tables`].
    pub table: u32,
    /// As many expressions as the table has columns.
    pub tuple: Vec<Expr>,
}

/// Lookups over one domain with shared sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Real axis sizes of the domain; at least one axis.
    pub dims: Vec<u32>,
    /// Sources of the expressions.
    pub sources: Vec<Source>,
    /// The lookups.
    pub lookups: Vec<LookupArgument>,
}

/// Rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableRows {
    /// `(i)` for `0 <= i < 2^bits`.
    Range {
        /// Width.
        bits: u8,
    },
    /// `(v, clamp(floor(v / 2^fraction_bits), lo, hi))` for `-2^(bits-1) <= v < 2^(bits-1)`.
    Clamp {
        /// Width of `v`.
        bits: u8,
        /// Fraction bits of `v`.
        fraction_bits: u8,
        /// Lower bound, at most 0.
        lo: i32,
        /// Upper bound, at least 0.
        hi: i32,
    },
    /// `(w, w mod 2, clamp(w, lo, hi))` for `-2^(bits-1) <= w < 2^(bits-1)`.
    ParityClamp {
        /// Width of `w`.
        bits: u8,
        /// Lower bound, at most 0.
        lo: i32,
        /// Upper bound, at least 0.
        hi: i32,
    },
    /// Rows listed in constant columns (one dimension, equal lengths).
    Columns {
        /// The columns.
        columns: Vec<ColumnId>,
    },
}

impl TableRows {
    /// Number of tuple components.
    pub fn arity(&self) -> usize {
        match self {
            Self::Range { .. } => 1,
            Self::Clamp { .. } => 2,
            Self::ParityClamp { .. } => 3,
            Self::Columns { columns } => columns.len(),
        }
    }
}

/// A lookup table with the column that counts its uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The rows.
    pub rows: TableRows,
    /// Witness column, one cell per row: how often it is looked up.
    pub multiplicity: ColumnId,
}

/// How one axis of a contraction's input column is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContractMap {
    /// Column index = index of a summed axis.
    Summed {
        /// Summed axis.
        axis: u8,
    },
    /// Column index = index of a position axis (axis 0 = domain axis 1).
    Position {
        /// Position axis.
        axis: u8,
    },
    /// Column index = `stride * position + dilation * tap + offset`, nothing outside the column.
    Window {
        /// Position axis.
        axis: u8,
        /// Summed axis of the taps.
        tap_axis: u8,
        /// Stride.
        stride: u32,
        /// Dilation.
        dilation: u32,
        /// Minus the padding.
        offset: i32,
    },
    /// Column index = `group * size + channel`, from summed axis 0 (group) and another summed axis.
    Grouped {
        /// Summed axis of the channel inside a group.
        axis: u8,
        /// Channels per group.
        size: u32,
    },
}

/// `value[row, position] = sum over the summed axes of weights[row, sums] * input[maps(sums, position)]`; with groups,
/// summed axis 0 is the group and only the row's own group counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contraction {
    /// Constant column over the rows and the own summed axes (all but the group).
    pub weights: ColumnId,
    /// What each axis of `weights` holds, outermost first: `[0]` the rows, otherwise one or several summed axes merged
    /// row-major, `k` for own summed axis `k - 1`. Every number appears once.
    pub weight_axes: Vec<Vec<u8>>,
    /// Column read.
    pub input: ColumnId,
    /// Sizes of the summed axes.
    pub summed: Vec<u32>,
    /// Rows per group; 0 without groups.
    pub rows_per_group: u32,
    /// Sizes of the position axes.
    pub positions: Vec<u32>,
    /// One map per axis of `input`.
    pub maps: Vec<ContractMap>,
}

/// A column read over the axes of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// The column.
    pub column: ColumnId,
    /// One entry per column axis; axis numbers count the domain axes first, then the summed ones.
    pub maps: Vec<AxisMap>,
}

/// `value[x] = sum over the summed axes of a[x, sums] * b[x, sums]`. Every domain axis drives at least one factor, every
/// summed axis both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Sizes of the domain axes.
    pub dims: Vec<u32>,
    /// Sizes of the summed axes.
    pub summed: Vec<u32>,
    /// First factor.
    pub a: Factor,
    /// Second factor.
    pub b: Factor,
}

/// A public tensor of the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPort {
    /// Name in the ONNX graph.
    pub name: String,
    /// Declared type.
    pub port_type: PortType,
    /// Whether the leading axis is the sample axis.
    pub leading_batch: bool,
    /// Logical shape.
    pub shape: Vec<u32>,
    /// Quantisation.
    pub quantisation: Quantisation,
    /// The column that holds it (of a float its significands); with home `Public`.
    pub column: ColumnId,
    /// Columns of a float's exponents and signs, like `column`.
    pub float_parts: Option<[ColumnId; 2]>,
    /// Column axes in the row-major order of the logical tensor.
    pub order: Vec<u8>,
}

impl PublicPort {
    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.shape.iter().fold(1, |n, &d| n.saturating_mul(u64::from(d)))
    }

    /// Raw bytes in a statement.
    pub fn raw_len(&self) -> u64 {
        self.len().saturating_mul(self.quantisation.int_type.width() as u64)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The constraint system of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// All columns.
    pub columns: Vec<Column>,
    /// All lookups.
    pub instances: Vec<Instance>,
    /// All tables.
    pub tables: Vec<Table>,
    /// All contractions.
    pub contractions: Vec<Contraction>,
    /// All products.
    pub products: Vec<Product>,
    /// Public inputs.
    pub inputs: Vec<PublicPort>,
    /// Public outputs.
    pub outputs: Vec<PublicPort>,
}
