//! Just enough JSON for the golden vectors: flat rows with string, integer and integer-list fields.

/// The rows of a vector file, as text.
pub(crate) fn rows(text: &str) -> Vec<&str> {
    let mut rows = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    rows.push(&text[start..=at]);
                }
            }
            _ => {}
        }
    }
    rows
}

/// The text after `"key": `.
fn field<'a>(row: &'a str, key: &str) -> &'a str {
    let name = format!("\"{key}\": ");
    let at = row.find(&name).unwrap_or_else(|| panic!("no field {key}"));
    &row[at + name.len()..]
}

pub(crate) fn string<'a>(row: &'a str, key: &str) -> &'a str {
    field(row, key)[1..].split('"').next().expect("a string")
}

pub(crate) fn integer(row: &str, key: &str) -> i64 {
    let text = field(row, key).split([',', '}']).next().expect("an integer");
    text.trim().parse().expect("an integer")
}

pub(crate) fn float(row: &str, key: &str) -> f32 {
    f32::from_bits(u32::try_from(integer(row, key)).expect("float bits"))
}

pub(crate) fn integers(row: &str, key: &str) -> Vec<i64> {
    let list = field(row, key)[1..].split(']').next().expect("a list");
    list.split(',').map(|text| text.trim().parse().expect("an integer")).collect()
}
