//! The compile report that is kept of a model: what became of every operator, and what proving it takes.

use serde_json::{Value, json};
use vinfer_circuits::system::{Home, domain_len};
use vinfer_compiler::Row;
use vinfer_prover::ProvingKey;

use crate::ids::Digest;

/// The report, JSON. `rows` is empty where a program was uploaded and not a model.
pub(super) fn report(key: &ProvingKey, rows: &[Row]) -> Value {
    let lowered = key.lowered();
    let system = &lowered.system;
    let cells = |home: Home, columns: &[vinfer_circuits::system::Column]| -> u64 {
        columns.iter().filter(|column| column.home == home).map(|column| column.real_cells()).sum()
    };
    let lookups = |instances: &[vinfer_circuits::system::Instance]| -> u64 {
        instances.iter().map(|instance| domain_len(&instance.dims) * instance.lookups.len() as u64).sum()
    };
    let row = |(op, row): (usize, &Row)| {
        let columns = lowered.columns_of_op.get(op).and_then(|&(from, to)| system.columns.get(from..to));
        let instances = lowered.instances_of_op.get(op).and_then(|&(from, to)| system.instances.get(from..to));
        json!({
            "node": row.node,
            "operators": row.operators,
            "primitive": row.primitive,
            "exactness": row.exactness,
            "shape": row.shape,
            "elements": row.elements,
            "macs": row.macs,
            "cells": cells(Home::Witness, columns.unwrap_or_default()),
            "constant_cells": cells(Home::Constants, columns.unwrap_or_default()),
            "lookups": lookups(instances.unwrap_or_default()),
            "requantisations": { "line": row.line, "parity": row.parity, "table": row.table },
        })
    };
    let prepared = key.verifying_key();
    json!({
        "macs": rows.iter().map(|row| row.macs).fold(0, u64::saturating_add),
        "cells": cells(Home::Witness, &system.columns),
        "constant_cells": cells(Home::Constants, &system.columns),
        "lookups": lookups(&system.instances),
        "program_digest": Digest(prepared.key().program_digest),
        "profile": prepared.key().profile.name(),
        "security_bits": prepared.budget().total_bits(),
        "rows": rows.iter().enumerate().map(row).collect::<Vec<_>>(),
    })
}
