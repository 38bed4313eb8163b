//! Wide build sides of joins: what they copy is not in the account of memory, and stays in bounds all the same.

use super::Small;
use crate::cli::peak::peak;

/// Code, stacks, the buffers of decoders and of the allocator, and what joins copy.
const BESIDE_BYTES_MAX: u64 = 300_000_000;
const COLUMNS: u64 = 10;

/// A join of two sides of so many rows of eleven numbers.
fn join(rows: u64) -> String {
    let columns: Vec<_> = (0..COLUMNS).map(|c| format!("value * {} as c{c}", 7919 + c)).collect();
    let side = |rows: u64| {
        format!("(select value * 7919 as id, {} from generate_series(1, {rows}))", columns.join(", "))
    };
    let sums: Vec<_> = (0..COLUMNS).map(|c| format!("sum(a.c{c} + b.c{c}) as s{c}")).collect();
    format!("select {} from {} a join {} b on a.id = b.id", sums.join(", "), side(rows), side(rows + 1))
}

fn expected(rows: u64) -> String {
    let sums: Vec<_> = (0..COLUMNS).map(|c| (rows * (rows + 1) * (7919 + c)).to_string()).collect();
    sums.join(",")
}

#[test]
fn a_wide_build_side_that_just_fits_stays_below_the_limit_and_300_mb() {
    let small = Small::new("512MB");
    // Some of these are hash joins, the larger ones have to go to disk.
    for rows in [2_000_000, 2_600_000, 3_000_000, 3_300_000, 3_900_000] {
        let (most, done) = peak(small.query(&["-q", "-o", "out.csv"], &join(rows)));
        done.rows();
        assert_eq!(small.room.read("out.csv").lines().last(), Some(expected(rows).as_str()), "{rows}");
        assert!(most < 512_000_000 + BESIDE_BYTES_MAX, "{rows} rows: {most} bytes");
    }
    assert!(small.left().is_empty());
}
