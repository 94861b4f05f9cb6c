//! Numbers for people.

/// Bytes in decimal units: `12.3 KB`.
pub(crate) fn bytes(n: f64) -> String {
    match n {
        n if n < 1e3 => format!("{n:.0} B"),
        n if n < 1e6 => format!("{:.1} KB", n / 1e3),
        n if n < 1e9 => format!("{:.1} MB", n / 1e6),
        n => format!("{:.2} GB", n / 1e9),
    }
}

/// Seconds with three significant digits or so: `0.0076`, `1.23`, `174`.
pub(crate) fn seconds(s: f64) -> String {
    match s {
        s if s < 0.1 => format!("{s:.4}"),
        s if s < 1.0 => format!("{s:.3}"),
        s if s < 100.0 => format!("{s:.2}"),
        s => format!("{s:.0}"),
    }
}

/// Milliseconds of a time in seconds.
pub(crate) fn milliseconds(s: f64) -> String {
    if s < 0.1 { format!("{:.2}", s * 1e3) } else { format!("{:.0}", s * 1e3) }
}
