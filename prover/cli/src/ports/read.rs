//! Reads the samples of all ports from a file of arrays.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use super::{Misfit, PortError, PortSpec, Sample};
use crate::tensors::{ArrayFile, Data};

/// Reads and quantises samples `range` of every input.
///
/// # Errors
/// The file's arrays are not exactly those the ports declare, or a sample holds NaN.
pub(crate) fn read_inputs(path: &Path, ports: &[PortSpec], range: Range<u64>) -> Result<Vec<Sample>, PortError> {
    let (mut file, samples) = open(path, ports)?;
    check_index(range.end - 1, samples)?;
    let count = (range.end - range.start) as usize;
    let mut result: Vec<Sample> = vec![Vec::with_capacity(ports.len()); count];
    for (data, port) in read(&mut file, ports, range.clone())?.iter().zip(ports) {
        let len = port.sample_len();
        let place = |at: usize| (port.name.clone(), range.start + at as u64 / len, at as u64 % len);
        let centred = port.centre(data).map_err(|misfit| match misfit {
            Misfit::NotANumber(at) => {
                let (name, sample, element) = place(at);
                PortError::NotANumber { name, sample, element }
            }
            Misfit::OutOfRange(at, value) => {
                let (name, sample, element) = place(at);
                let (min, max) = (port.quantisation.int_type.min(), port.quantisation.int_type.max());
                PortError::OutOfRange { name, sample, element, value, min, max }
            }
        })?;
        for (sample, elements) in result.iter_mut().zip(centred.chunks(len as usize)) {
            sample.push(elements.to_vec());
        }
    }
    Ok(result)
}

/// Reads one sample of every input in its declared type.
///
/// # Errors
/// The file's arrays are not exactly those the ports declare.
pub(crate) fn read_sample(path: &Path, ports: &[PortSpec], index: u64) -> Result<Vec<Data>, PortError> {
    let (mut file, samples) = open(path, ports)?;
    check_index(index, samples)?;
    read(&mut file, ports, index..index.saturating_add(1))
}

/// Reads samples of every output in their declared types: samples `range`, or the only one of a one-sample file.
///
/// # Errors
/// The file's arrays are not exactly those the ports declare.
pub(crate) fn read_expected_outputs(
    path: &Path,
    ports: &[PortSpec],
    range: Range<u64>,
) -> Result<Vec<Vec<Data>>, PortError> {
    let (mut file, samples) = open(path, ports)?;
    let one = samples == 1 && range.end - range.start == 1;
    let range = if one { 0..1 } else { range };
    check_index(range.end - 1, samples)?;
    range.map(|index| read(&mut file, ports, index..index + 1)).collect()
}

/// Opens the file and checks names, types, shapes and sample counts; returns the number of samples.
fn open(path: &Path, ports: &[PortSpec]) -> Result<(ArrayFile, u64), PortError> {
    let mut file = ArrayFile::open(path)?;
    check_names(file.names(), ports)?;
    let mut first: Option<(&str, u64)> = None;
    for port in ports {
        let name = &port.name;
        let header = file.header(name)?;
        let samples = match header.shape.split_first() {
            Some((&samples, rest)) if rest == port.sample_shape => samples,
            _ => {
                return Err(PortError::Shape { name: name.clone(), expected: port.file_shape(), got: header.shape });
            }
        };
        if !header.element.fits(port.kind) {
            return Err(PortError::ElementType { name: name.clone(), expected: port.kind, got: header.element });
        }
        let (first_name, expected) = *first.get_or_insert((name, samples));
        if samples != expected {
            let (name, first) = (name.clone(), first_name.to_owned());
            return Err(PortError::SampleCounts { name, got: samples, first, expected });
        }
    }
    let samples = first.map_or(0, |(_, samples)| samples);
    Ok((file, samples))
}

fn check_names(found: Option<Vec<String>>, ports: &[PortSpec]) -> Result<(), PortError> {
    let wanted: BTreeSet<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    let wanted_names = || wanted.iter().map(|&name| name.to_owned()).collect();
    let Some(found) = found else {
        return if wanted.len() == 1 { Ok(()) } else { Err(PortError::Unnamed { wanted: wanted_names() }) };
    };
    if let Some(port) = ports.iter().find(|port| !found.contains(&port.name)) {
        return Err(PortError::Missing { name: port.name.clone(), found });
    }
    match found.into_iter().find(|name| !wanted.contains(name.as_str())) {
        Some(name) => Err(PortError::Extra { name, wanted: wanted_names() }),
        None => Ok(()),
    }
}

fn check_index(index: u64, samples: u64) -> Result<(), PortError> {
    if index < samples { Ok(()) } else { Err(PortError::IndexOutOfRange { index, samples }) }
}

/// Elements of the selected samples, per port; a name shared by several ports is read once.
fn read(file: &mut ArrayFile, ports: &[PortSpec], samples: Range<u64>) -> Result<Vec<Data>, PortError> {
    let mut result: Vec<Data> = Vec::with_capacity(ports.len());
    for (index, port) in ports.iter().enumerate() {
        let twin = ports[..index].iter().position(|other| other.name == port.name);
        let data = match twin {
            Some(twin) => result[twin].clone(),
            None => {
                let len = port.sample_len();
                file.read(&port.name, port.kind, samples.start * len..samples.end * len)?
            }
        };
        result.push(data);
    }
    Ok(result)
}
