//! The line: what it says, cut to the width that there is.

use std::time::Duration;

use bytesize::ByteSize;

const BAR_CELLS: usize = 20;
const BAR_CELLS_MIN: usize = 8;
const GAP: &str = "  ";
const GREEN: &str = "\x1b[32m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// How far a statement is, in numbers for people.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Shown {
    /// `None`: nobody knows how much work there is.
    pub(super) fraction: Option<f64>,
    /// Rows that were read.
    pub(super) rows: u64,
    pub(super) rows_per_second: Option<f64>,
    /// The time until the end, if it means something.
    pub(super) left: Option<Duration>,
    pub(super) spilled_bytes: u64,
    pub(super) elapsed: Duration,
}

/// How to write it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub(super) width: usize,
    pub(super) utf8: bool,
    pub(super) colours: bool,
    pub(super) hint: Option<&'static str>,
}

/// A line as it is written, and how wide it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) cells: usize,
}

/// A part of the line. What comes first matters most where there is little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Percent,
    Left,
    Rows,
    Spilled,
    Rate,
    Hint,
}

/// The parts from left to right.
const ORDER: [Part; 6] = [Part::Percent, Part::Rows, Part::Rate, Part::Left, Part::Spilled, Part::Hint];

impl Shown {
    fn part(&self, part: Part, hint: Option<&str>) -> Option<String> {
        match part {
            Part::Percent => Some(match self.fraction {
                Some(fraction) => format!("{:>3}%", percent(fraction)),
                None => format!("{} s", self.elapsed.as_secs()),
            }),
            Part::Rows => (self.rows > 0).then(|| format!("{} rows", short(self.rows as f64))),
            Part::Rate => self.rows_per_second.map(|rate| format!("{} rows/s", short(rate))),
            Part::Left => self.left.map(|left| format!("~{}", rough(left))),
            Part::Spilled => (self.spilled_bytes > 0)
                .then(|| format!("{} spilled", ByteSize(self.spilled_bytes).display().si())),
            Part::Hint => hint.map(str::to_string),
        }
    }

    /// The line, in as many columns as there are, with a bar if there is room for one.
    pub(super) fn line(&self, style: Style) -> Line {
        let line = self.line_without_bar(style);
        let room = style.width.saturating_sub(line.cells + GAP.len());
        let Some(fraction) = self.fraction.filter(|_| room >= BAR_CELLS_MIN) else { return line };
        let bar_cells = BAR_CELLS.min(room);
        Line {
            text: format!("{}{GAP}{}", draw_bar(fraction, bar_cells, style), line.text),
            cells: bar_cells + GAP.len() + line.cells,
        }
    }

    /// The line, in as many columns as there are.
    pub(super) fn line_without_bar(&self, style: Style) -> Line {
        let mut parts: Vec<_> =
            ORDER.iter().filter_map(|part| Some((*part, self.part(*part, style.hint)?))).collect();
        let cells = |parts: &[(Part, String)]| {
            parts.iter().map(|(_, text)| text.len() + GAP.len()).sum::<usize>().saturating_sub(GAP.len())
        };
        while cells(&parts) > style.width && parts.len() > 1 {
            let least = parts.iter().map(|(part, _)| *part).max();
            parts.retain(|(part, _)| Some(*part) != least);
        }
        let used = cells(&parts);
        let mut line = Line { text: String::new(), cells: used.min(style.width) };
        for (at, (part, text)) in parts.iter().enumerate() {
            let text =
                if used > style.width { text.chars().take(style.width).collect() } else { text.clone() };
            line.text.push_str(if at > 0 { GAP } else { "" });
            match part {
                Part::Hint if style.colours => line.text.push_str(&format!("{DIM}{text}{PLAIN}")),
                _ => line.text.push_str(&text),
            }
        }
        line
    }
}

/// Whole percents. All of them only when all is done.
fn percent(fraction: f64) -> u32 {
    (fraction.clamp(0.0, 1.0) * 100.0 + 1e-9).floor() as u32
}

fn draw_bar(fraction: f64, cells: usize, style: Style) -> String {
    let inner = if style.utf8 { cells } else { cells.saturating_sub(2) };
    let full = ((fraction.clamp(0.0, 1.0) * inner as f64) as usize).min(inner);
    let (done, rest) = if style.utf8 { ("━", "─") } else { ("#", ".") };
    let (done, rest) = (done.repeat(full), rest.repeat(inner - full));
    let bar = match style.colours {
        true => format!("{GREEN}{done}{PLAIN}{DIM}{rest}{PLAIN}"),
        false => format!("{done}{rest}"),
    };
    if style.utf8 { bar } else { format!("[{bar}]") }
}

/// A number in three digits.
pub(super) fn short(number: f64) -> String {
    let (mut scaled, mut unit) = (number.max(0.0), "");
    for next in ["k", "M", "G", "T"] {
        // What would round to 1000 has the next unit.
        if scaled < 999.5 {
            break;
        }
        (scaled, unit) = (scaled / 1000.0, next);
    }
    match scaled {
        _ if unit.is_empty() => format!("{scaled:.0}"),
        ..9.995 => format!("{scaled:.2}{unit}"),
        9.995..99.95 => format!("{scaled:.1}{unit}"),
        _ => format!("{scaled:.0}{unit}"),
    }
}

/// A time in the unit that fits.
fn rough(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..100.0 => format!("{:.0} s", seconds.max(1.0)),
        100.0..6000.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Style = Style { width: 100, utf8: false, colours: false, hint: Some("[Tab] graph") };

    fn shown() -> Shown {
        Shown {
            fraction: Some(0.429),
            rows: 12_340_000,
            rows_per_second: Some(1_234_000.0),
            left: Some(Duration::from_secs(12)),
            spilled_bytes: 1_500_000_000,
            elapsed: Duration::from_secs(9),
        }
    }

    #[test]
    fn a_wide_line_says_all() {
        let line = shown().line(WIDE);
        let all = "[#######...........]   42%  12.3M rows  1.23M rows/s  ~12 s  1.5 GB spilled  [Tab] graph";
        assert_eq!((line.text.as_str(), line.cells), (all, all.len()));
    }

    #[test]
    fn a_narrow_line_says_what_matters_most() {
        let at = |width| shown().line(Style { width, ..WIDE }).text;
        assert_eq!(at(70), " 42%  12.3M rows  1.23M rows/s  ~12 s  1.5 GB spilled  [Tab] graph");
        assert_eq!(at(60), " 42%  12.3M rows  1.23M rows/s  ~12 s  1.5 GB spilled");
        assert_eq!(at(45), " 42%  12.3M rows  ~12 s  1.5 GB spilled");
        assert_eq!(at(25), " 42%  12.3M rows  ~12 s");
        assert_eq!(at(12), " 42%  ~12 s");
        assert_eq!(at(2), " 4");
        for width in 0..120 {
            let line = shown().line(Style { width, ..WIDE });
            assert!(line.cells <= width && line.text.len() == line.cells, "{width}: {line:?}");
        }
    }

    #[test]
    fn without_a_percentage_the_time_is_shown() {
        let line = Shown { fraction: None, left: None, ..shown() }.line(Style { hint: None, ..WIDE });
        assert_eq!(line.text, "9 s  12.3M rows  1.23M rows/s  1.5 GB spilled");
    }

    #[test]
    fn only_the_end_is_a_hundred() {
        assert_eq!([0.0, 0.29, 0.99, 0.9999, 1.0].map(percent), [0, 29, 99, 99, 100]);
    }

    #[test]
    fn colours_take_no_room() {
        let plain = shown().line(WIDE);
        let coloured = shown().line(Style { colours: true, ..WIDE });
        assert!(coloured.text.len() > plain.text.len());
        assert_eq!(coloured.cells, plain.cells);
    }

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [0.0, 999.0, 999.6, 1234.0, 99_960.0, 999_600.0, 12_345_678.0, 5e12];
        let texts = ["0", "999", "1.00k", "1.23k", "100k", "1.00M", "12.3M", "5.00T"];
        assert_eq!(numbers.map(short), texts);
    }

    #[test]
    fn times_are_rough() {
        let texts = [0.2, 12.4, 99.0, 180.0, 7200.0].map(|seconds| rough(Duration::from_secs_f64(seconds)));
        assert_eq!(texts, ["1 s", "12 s", "99 s", "3 min", "2 h"]);
    }
}
