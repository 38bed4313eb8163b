//! Times, sizes and counts for people, the same wherever a run is told of.

use std::time::Duration;

use super::text::counted;

/// A time with three digits or so.
pub fn time(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.2} ms", time.as_secs_f64() * 1e3),
        10_000..1_000_000 => format!("{:.0} ms", time.as_secs_f64() * 1e3),
        1_000_000..100_000_000 => format!("{:.2} s", time.as_secs_f64()),
        _ => format!("{:.0} s", time.as_secs_f64()),
    }
}

/// A number of bytes, by thousands.
pub fn bytes(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().si().to_string()
}

/// A number of rows with its noun.
pub fn rows(rows: u64) -> String {
    count(rows, "row")
}

/// A number with its noun.
pub fn count(number: u64, noun: &str) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

/// A number in groups of three digits.
pub fn grouped(number: u64) -> String {
    let text = count(number, "");
    text.split(' ').next().unwrap_or_default().to_string()
}

/// A part of a whole, in percent: `83 %`. Little is not nothing.
pub fn percent(part: f64) -> String {
    match part * 100.0 {
        percent if percent > 0.0 && percent < 0.05 => "< 0.1 %".into(),
        percent if (0.05..0.95).contains(&percent) => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_fits() {
        let shown = |micros| time(Duration::from_micros(micros));
        assert_eq!(shown(999), "999 µs");
        assert_eq!(shown(1_500), "1.50 ms");
        assert_eq!(shown(250_000), "250 ms");
        assert_eq!(shown(2_340_000), "2.34 s");
        assert_eq!(shown(123_400_000), "123 s");
    }

    #[test]
    fn counts_and_parts_are_readable() {
        assert_eq!((rows(1), rows(12_345)), ("1 row".into(), "12,345 rows".into()));
        assert_eq!(grouped(3_793_296), "3,793,296");
        assert_eq!(
            (percent(0.0), percent(0.004), percent(0.834)),
            ("0 %".into(), "0.4 %".into(), "83 %".into())
        );
        assert_eq!(percent(0.0001), "< 0.1 %");
        assert_eq!(bytes(164_600_000), "164.6 MB");
    }
}
