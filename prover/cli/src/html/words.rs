//! Numbers and names as the page shows them.

/// A share as a percentage with three significant digits at most.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p >= 99.95 => "100 %".to_owned(),
        p if p >= 0.1 => format!("{p:.1} %"),
        p if p > 0.0 => "< 0.1 %".to_owned(),
        _ => "0 %".to_owned(),
    }
}

/// A large number in few characters: `12.3 M`.
pub(super) fn compact(n: u64) -> String {
    let scaled = |unit: f64, name: &str| {
        let value = n as f64 / unit;
        if value < 9.995 {
            format!("{value:.2} {name}")
        } else if value < 99.95 {
            format!("{value:.1} {name}")
        } else {
            format!("{value:.0} {name}")
        }
    };
    match n {
        0..10_000 => crate::report::count(n),
        10_000..1_000_000 => scaled(1e3, "k"),
        1_000_000..1_000_000_000 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

/// Dimensions as `1 × 8 × 8`; a scalar is `scalar`.
pub(super) fn shape<T: ToString>(dims: &[T]) -> String {
    if dims.is_empty() {
        return "scalar".to_owned();
    }
    dims.iter().map(T::to_string).collect::<Vec<_>>().join(" × ")
}

/// Temperature of a share, 0 to 1: the square root, so that small shares can be told apart.
pub(super) fn heat(share: f64, hottest: f64) -> f64 {
    if hottest > 0.0 { (share / hottest).clamp(0.0, 1.0).sqrt() } else { 0.0 }
}

/// A coordinate.
pub(super) fn fixed(value: f64) -> String {
    format!("{value:.1}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The first characters of a text, with an ellipsis where some are left out.
pub(super) fn head(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The last characters of a text, with an ellipsis where some are left out.
pub(super) fn tail(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    ['…'].into_iter().chain(text.chars().skip(count - most.saturating_sub(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 0.0004, 0.1234, 0.99996].map(percent), ["0 %", "< 0.1 %", "12.3 %", "100 %"]);
        assert_eq!([9_999, 12_345, 1_234_567, 987_654_321].map(compact), ["9 999", "12.3 k", "1.23 M", "988 M"]);
        assert_eq!(fixed(12.0), "12");
        assert_eq!(fixed(12.34), "12.3");
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(head("änderung", 4), "änd…");
        assert_eq!(tail("/block/größe", 6), "…größe");
        assert_eq!(tail("abc", 3), "abc");
    }
}
