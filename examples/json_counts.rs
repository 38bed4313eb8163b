//! Map, filter, group and count over lines of JSON, without `async`.
//!
//! In Dask:
//!
//! ```python
//! people = db.read_text("people/*.json").map(json.loads)
//! people.filter(lambda p: p["age"] > 30).map(lambda p: p["job"].strip().lower()) \
//!       .frequencies(sort=True).take(3)
//! ```
//!
//! Run it with `cargo run --example json_counts`.

use std::fmt::Write;
use std::path::Path;

use query::blocking::{DataFrame, Session};
use query::prelude::{btrim, col, lit, lower};

pub(crate) fn main() -> query::Result<()> {
    let room = tempfile::tempdir().map_err(|source| query::Error::io("make", "a folder", source))?;
    write_people(room.path()).map_err(|source| query::Error::io("write", room.path(), source))?;

    let session = Session::new()?;
    frequent_jobs(&session, &format!("{}/*.json", room.path().display()))?.show()
}

/// The three most frequent jobs of those older than thirty.
pub(crate) fn frequent_jobs(session: &Session, files: &str) -> query::Result<DataFrame> {
    session
        .read_json(files)?
        .filter(col("age").gt(lit(30)))?
        .with_column("job", lower(btrim(vec![col("job")])))?
        .value_counts(["job"])?
        .limit(3)
}

/// Three files of 500 people each, with jobs that are written in several ways, and some without a job.
pub(crate) fn write_people(folder: &Path) -> std::io::Result<()> {
    let jobs = ["\"baker\"", "\"Baker \"", "\"smith\"", "\"potter\"", "null", "\"SMITH\"", "\"baker\""];
    for part in 0..3 {
        let mut text = String::new();
        for number in part * 500..(part + 1) * 500 {
            let (job, age) = (jobs[number % jobs.len()], 20 + number % 41);
            let line = writeln!(text, r#"{{"name": "p{number}", "age": {age}, "job": {job}}}"#);
            line.map_err(std::io::Error::other)?;
        }
        std::fs::write(folder.join(format!("part-{part}.json")), text)?;
    }
    Ok(())
}
