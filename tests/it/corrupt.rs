//! Damaged files: thousands of them give rows or an error, never a panic and never a hang.

use std::fs;
use std::time::Duration;

use query::Session;

use crate::{engine, fixtures};

/// How many damaged files a plain test run tries, unless `QUERY_SOAK_CORRUPTIONS` says otherwise.
const CASES: u64 = 320;
/// A small file that takes longer hangs.
const HANG: Duration = Duration::from_secs(20);
const FORMATS: [&str; 8] = ["parquet", "csv", "tsv", "lines", "array", "avro", "arrow", "stream"];

#[test]
fn damaged_files_give_rows_or_errors() {
    let cases = std::env::var("QUERY_SOAK_CORRUPTIONS").map_or(CASES, |cases| cases.parse().unwrap());
    let room = tempfile::tempdir().unwrap();
    let runtime = engine::runtime();
    let (mut rows, mut errors) = (0, 0);
    for case in 0..cases {
        let mut random = fastrand::Rng::with_seed(case);
        let format = FORMATS[random.usize(..FORMATS.len())];
        let mut bytes = fixtures::whole(format);
        let damage = damage(&mut bytes, &mut random);
        let extension = fixtures::FORMATS.iter().find(|(name, _)| *name == format).unwrap().1;
        let file = room.path().join(format!("{case}.{extension}"));
        fs::write(&file, &bytes).unwrap();
        let what = format!("case {case}: {format}, {damage}");
        let sql = format!("select * from '{}'", file.display());
        let run = async move {
            let session = Session::new().unwrap();
            let answer = engine::run(&session, &sql).await;
            answer.map(drop).map_err(|error| error.to_string())
        };
        // In a task of its own, so that the clock goes on while a decoder does not.
        #[expect(clippy::disallowed_methods, reason = "a statement's driver is no task of a query")]
        let task = runtime.spawn(run);
        match runtime.block_on(async { tokio::time::timeout(HANG, task).await }) {
            Ok(Ok(Ok(()))) => rows += 1,
            Ok(Ok(Err(error))) => {
                assert!(error.contains(&file.display().to_string()), "{what}: {error}");
                errors += 1;
            }
            Ok(Err(_)) => panic!("{what} panics"),
            Err(_) => panic!("{what} hangs"),
        }
        fs::remove_file(&file).unwrap();
    }
    // Both happen, or the damage is no damage.
    assert!(rows > 0 && errors > cases / 4, "{rows} readable, {errors} errors");
}

/// Damages a file in one of several ways; says how.
fn damage(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) -> String {
    let at = random.usize(..bytes.len());
    match random.u8(..6) {
        0 => {
            let count = random.usize(1..=8);
            for _ in 0..count {
                let bit = random.usize(..bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            format!("{count} bits flipped")
        }
        1 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        2 => {
            let end = (at + random.usize(1..=16)).min(bytes.len());
            bytes.drain(at..end);
            format!("{} bytes lost at {at}", end - at)
        }
        3 => {
            let added: Vec<u8> = (0..random.usize(1..=16)).map(|_| random.u8(..)).collect();
            let count = added.len();
            bytes.splice(at..at, added);
            format!("{count} bytes added at {at}")
        }
        4 => {
            // A length that lies: four bytes of a plausible or an absurd size, where lengths may stand.
            let size = [0u32, 1, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff][random.usize(..6)];
            let at = if random.bool() { bytes.len().saturating_sub(random.usize(4..40)) } else { at };
            let end = (at + 4).min(bytes.len());
            bytes[at..end].copy_from_slice(&size.to_le_bytes()[..end - at]);
            format!("{size:#x} written at {at}")
        }
        _ => {
            let end = (at + random.usize(1..=64)).min(bytes.len());
            let value = if random.bool() { 0 } else { 0xff };
            bytes[at..end].fill(value);
            format!("{value:#x} from {at} to {end}")
        }
    }
}
