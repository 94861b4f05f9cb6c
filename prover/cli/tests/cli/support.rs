//! What the tests of the binary share: running it, a tiny program, and arrays made by hand.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;
use tempfile::TempDir;
use vinfer_circuits::ops::Lookup;
use vinfer_circuits::program::{self, IntType, Op, Port, PortType, Program, Quantisation, Value};

/// A directory of its own, and the binary run in it.
pub(crate) struct Lab {
    directory: TempDir,
}

impl Lab {
    /// An empty directory.
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("temporary directory") }
    }

    /// A directory holding the tiny program as `tiny.vinfer`.
    pub(crate) fn with_program() -> Self {
        let lab = Self::new();
        lab.write("tiny.vinfer", &program::to_bytes(&tiny_program()));
        lab
    }

    /// Path of a file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("write");
    }

    /// Names of all files.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).expect("directory");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs the binary in the directory.
    pub(crate) fn vinfer(&self, arguments: &[&str]) -> Finished {
        let output = Command::new(env!("CARGO_BIN_EXE_vinfer"))
            .args(arguments)
            .current_dir(self.directory.path())
            .output()
            .expect("the binary runs");
        Finished { output, arguments: arguments.join(" ") }
    }

    /// Runs the tiny program on a file, with more arguments, writing `out.npz`.
    pub(crate) fn run_tiny(&self, input: &str, more: &[&str]) -> Finished {
        let mut arguments = vec!["run", "tiny.vinfer", "--input", input, "-o", "out.npz"];
        arguments.extend_from_slice(more);
        self.vinfer(&arguments)
    }

    /// Arrays of an `.npz` file.
    pub(crate) fn arrays(&self, name: &str) -> Vec<Array> {
        read_npz(&self.path(name))
    }
}

/// A finished run of the binary.
pub(crate) struct Finished {
    output: Output,
    arguments: String,
}

impl Finished {
    /// Demands an exit code.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.output.status.code(), Some(code), "{}\n{}{}", self.arguments, self.stdout(), self.stderr());
        self
    }

    /// Demands exit code 2 and an error message holding `part`.
    #[track_caller]
    pub(crate) fn refuses(&self, part: &str) -> &Self {
        self.exits(2);
        let stderr = self.stderr();
        assert!(stderr.contains("error: ") && stderr.contains(part), "{}\nno `{part}` in: {stderr}", self.arguments);
        self
    }

    /// What was printed on stdout.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What was printed on stderr.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout()).expect("one JSON object on stdout")
    }
}

/// An array of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    /// Name.
    pub(crate) name: String,
    /// The whole `.npy` header text, padding removed.
    pub(crate) header: String,
    /// Raw elements.
    pub(crate) data: Vec<u8>,
}

impl Array {
    /// Elements as floats.
    pub(crate) fn floats(&self) -> Vec<f32> {
        assert!(self.header.contains("'<f4'"), "{}", self.header);
        self.data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }
}

/// Reads an `.npz` file.
pub(crate) fn read_npz(path: &Path) -> Vec<Array> {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).expect("open")).expect("archive");
    (0..archive.len())
        .map(|index| {
            let mut member = archive.by_index(index).expect("member");
            let name = member.name().expect("name").trim_end_matches(".npy").to_owned();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).expect("read");
            let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            let header = String::from_utf8_lossy(&bytes[10..end]).trim_end().to_owned();
            Array { name, header, data: bytes[end..].to_vec() }
        })
        .collect()
}

/// An `.npy` file with this type string, order and shape.
pub(crate) fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while (text.len() + 11) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(data);
    out
}

/// Little-endian bytes.
pub(crate) fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// An `.npz` file of `.npy` members.
pub(crate) fn npz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(*name, options).expect("member");
        writer.write_all(bytes).expect("data");
    }
    writer.finish().expect("archive").into_inner()
}

/// Inputs of the tiny program for two samples; `x` and `k` as given.
pub(crate) fn tiny_inputs(x: &[f32], k: &[i8]) -> Vec<u8> {
    let k: Vec<u8> = k.iter().map(|v| v.to_le_bytes()[0]).collect();
    let (nx, nk) = (x.len() / 2, k.len() / 3);
    npz(&[
        ("x.npy", npy("<f4", "False", &format!("({nx}, 2)"), &f32s(x))),
        ("k.npy", npy("|i1", "False", &format!("({nk}, 3)"), &k)),
    ])
}

/// A program whose ports show every conversion: float `x` [1, 2] (batch axis), quantised twice (scale 0.5 as u8 with
/// zero point 128, scale 2 as i8), int8 `k` [3] (no batch axis), outputs `y` and `coarse` (float, of `x`), `n`
/// (uint8 with zero point 10, `n = 20 - k` saturated below at 0).
pub(crate) fn tiny_program() -> Program {
    let value = |name: &str, shape: &[u32], scale: f32, zero_point, int_type| Value {
        name: name.to_owned(),
        shape: shape.to_vec(),
        quantisation: Quantisation { scale_bits: scale.to_bits(), zero_point, int_type },
    };
    let port =
        |name: &str, port_type, value, leading_batch| Port { name: name.to_owned(), port_type, value, leading_batch };
    let table = (-128i32..=127).map(|k| (20 - k).max(0) - 10).collect();
    Program {
        inputs: vec![
            port("x", PortType::Float32, 0, true),
            port("k", PortType::Integer, 1, false),
            port("x", PortType::Float32, 2, true),
        ],
        outputs: vec![
            port("y", PortType::Float32, 0, true),
            port("coarse", PortType::Float32, 2, true),
            port("n", PortType::Integer, 3, false),
        ],
        values: vec![
            value("x_fine", &[1, 2], 0.5, 128, IntType::U8),
            value("k", &[3], 1.0, 0, IntType::I8),
            value("x_coarse", &[1, 2], 2.0, 0, IntType::I8),
            value("n", &[3], 1.0, 10, IntType::U8),
        ],
        ops: vec![Op::Lookup(Lookup { input: 1, output: 3, table })],
    }
}
