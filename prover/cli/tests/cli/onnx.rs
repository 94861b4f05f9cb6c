//! ONNX files made by hand: just enough of the format for a model with chosen names.

/// A field with a length: strings, bytes and messages.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut len = content.len();
    while len >= 128 {
        out.push((len % 128) as u8 | 128);
        len /= 128;
    }
    out.push(len as u8);
    out.extend_from_slice(content);
    out
}

/// A field with a small number.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// A float tensor of four elements.
fn port(name: &str) -> Vec<u8> {
    let dims = field(1, &number(1, 4));
    let tensor = [number(1, 1), field(2, &dims)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

fn node(name: &str, operator: &str, input: &str, output: &str) -> Vec<u8> {
    let texts = [(1, input), (2, output), (3, name), (4, operator)];
    texts.iter().flat_map(|(number, text)| field(*number, text.as_bytes())).collect()
}

/// A model of two nodes that does not compile, in which everything that has a name has this one.
pub(crate) fn unsupported(name: &str) -> Vec<u8> {
    let [input, between, output] = ["in ", "between ", "out "].map(|part| format!("{part}{name}"));
    let graph = [
        field(1, &node(name, name, &input, &between)),
        field(1, &node(name, "Relu", &between, &output)),
        field(2, name.as_bytes()),
        field(11, &port(&input)),
        field(12, &port(&output)),
    ];
    let opset = [field(1, b""), number(2, 17)].concat();
    [number(1, 8), field(7, &graph.concat()), field(8, &opset)].concat()
}
