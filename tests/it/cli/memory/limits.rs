//! Limits as they are given, and what is said when one is reached.

use super::{ROWS, Small, unlimited};
use crate::cli::peak::peak;
use crate::cli::{Room, sql};

/// Holds all of its input and cannot go to disk.
fn hoarder() -> String {
    format!("select length(array_to_string(array_agg(text), ',')) as l from {ROWS}")
}

#[test]
fn a_limit_that_is_none_is_a_misuse() {
    let room = Room::new();
    for (flag, values) in [
        ("--memory-limit", &["0", "0%", "150%", "lots", "-1", "", "12 parsecs"][..]),
        ("--max-temp-size", &["lots", "-1", "50%", ""]),
        ("--temp-dir", &["missing"]),
    ] {
        for value in values {
            let error = room.query([&format!("{flag}={value}"), "-c", "select 1"]).run().error(2);
            assert!(error.starts_with(&format!("error: '{value}' is not a ")), "{flag} {value}: {error}");
            assert!(error.contains("\nhelp: "), "{error}");
        }
    }
}

#[test]
fn limits_come_from_the_environment_and_flags_beat_it() {
    let room = Room::new();
    for (name, value) in
        [("QUERY_MEMORY_LIMIT", "lots"), ("QUERY_MAX_TEMP_SIZE", "lots"), ("QUERY_TEMP_DIR", "missing")]
    {
        let error = room.query(["-c", "select 1"]).env(name, value).run().error(2);
        assert!(error.contains(&format!("'{value}'")), "{error}");
        let flags = ["--memory-limit", "50%", "--max-temp-size", "1GB", "--temp-dir", "."];
        let done = room.query(flags.iter().chain(&["-c", "select 1 as a"])).env(name, value).run();
        assert_eq!(done.rows(), "a\n1\n", "{name}");
        assert_eq!(room.query(["-c", "select 1 as a"]).env(name, "").run().rows(), "a\n1\n");
    }
    let limit = "show datafusion.runtime.memory_limit";
    let done = room.query(["-c", limit]).env("QUERY_MEMORY_LIMIT", "96MiB").run();
    assert!(done.rows().contains("96M"));
}

#[test]
fn a_refusal_names_the_limit_the_largest_consumers_and_the_flag() {
    let small = Small::new("32MB");
    let error = small.sql(&hoarder()).error(1);
    let start = "error: out of memory: the limit of 32.0 MB (--memory-limit) is reached; the largest consumers \
                 are aggregation (";
    assert!(error.starts_with(start), "{error}");
    assert!(error.contains("help: raise --memory-limit"), "{error}");
    assert!(!error.contains("AggregateStream") && !error.contains("ResourcesExhausted"), "{error}");
    assert!(small.left().is_empty());
}

#[test]
fn memory_that_is_given_back_can_be_had_again() {
    let small = Small::new("32MB");
    let next = format!("select count(distinct part) as n from {ROWS}");
    let (rows, error) = small.query(&["--keep-going", "-c", &next], &hoarder()).run().both(1);
    assert_eq!(rows, "n\n1000\n", "{error}");
    assert_eq!(error.matches("error:").count(), 1, "{error}");
}

#[test]
fn what_is_freed_goes_back_to_the_system() {
    // The large query grows and frees all the while, within a second or two. It is to hold little more than its
    // limit beside what any query holds: at most 110 MB, but 160 to 190 MB if what is freed is kept for a second.
    let small = Small::new("128MB");
    let held = |sql: &str| {
        let (held, done) = peak(small.query(&[], sql).stdout_to("/dev/null"));
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{sql}");
        held
    };
    let little = held(&format!("select count(*) as n from {ROWS}"));
    let much = held(&format!(
        "select part % 2 as p, count(distinct text) as n from {ROWS} where id <= 800000 group by all order by p"
    ));
    assert!(much < little + 150_000_000, "{} MB beside {} MB", much / 1_000_000, little / 1_000_000);
}

#[test]
fn set_changes_the_limit_that_everything_shares() {
    let room = Room::new();
    let set = "set datafusion.runtime.memory_limit = '32MB'";
    let error = room.query(["-c", set, "-c", &hoarder()]).run().error(1);
    assert!(error.contains("the limit of 32.0 MB"), "{error}");
    let reset = "reset datafusion.runtime.memory_limit";
    let done = room.query(["-c", set, "-c", reset, "-c", &hoarder()]).run();
    assert_eq!(done.rows(), unlimited(&hoarder()));
    for (name, value) in [
        ("memory_limit", "0"),
        ("memory_limit", "lots"),
        ("max_temp_directory_size", "lots"),
        ("max_spill_merge_fan_in", "many"),
    ] {
        let error = sql(&format!("set datafusion.runtime.{name} = '{value}'")).error(1);
        assert!(error.contains(&format!("'{value}'")), "{error}");
    }
}

#[test]
fn set_keeps_the_folder_of_temporary_files() {
    // The engine's own way to set any of these gives up our folder for one of its own.
    let small = Small::new("32MB");
    let sorted = format!("select id from {ROWS} order by text desc, key offset 999990");
    for set in
        ["max_temp_directory_size = '1GB'", "max_spill_merge_fan_in = 4", "metadata_cache_limit = '1M'"]
    {
        let set = format!("set datafusion.runtime.{set}");
        assert_eq!(small.query(&["-c", &sorted], &set).run().rows(), unlimited(&sorted), "{set}");
        let none = "set datafusion.runtime.max_temp_directory_size = '0'";
        let error = small.query(&["-c", none, "-c", &sorted], &set).run().error(1);
        assert!(
            error.contains("in '") && error.contains("/temp' have reached 0 B (--max-temp-size)"),
            "{error}"
        );
    }
    let error = small.sql("set datafusion.runtime.temp_directory = '/tmp'").error(1);
    assert!(error.contains("--temp-dir"), "{error}");
}
