//! Many timestamped CSV files: the mean of a value for each hour of the day.
//!
//! In Dask:
//!
//! ```python
//! df = dd.read_csv("readings/*.csv", parse_dates=["ts"])
//! df.groupby(df.ts.dt.hour).temperature.mean().compute()
//! ```
//!
//! Run it with `cargo run --example hourly_mean`.

use std::fmt::Write;
use std::path::Path;

use query::prelude::*;

#[tokio::main]
pub(crate) async fn main() -> query::Result<()> {
    let room = tempfile::tempdir().map_err(|source| query::Error::io("make", "a folder", source))?;
    write_readings(room.path()).map_err(|source| query::Error::io("write", room.path(), source))?;

    let session = Session::new()?;
    hourly_mean(&session, &format!("{}/*.csv", room.path().display())).await?.show().await
}

/// The mean temperature and the number of readings of each hour of the day, over all files.
pub(crate) async fn hourly_mean(session: &Session, files: &str) -> query::Result<DataFrame> {
    let readings = session.read_csv(files).await?;
    readings
        .group_by([col("ts").dt().hour().alias("hour")])
        .agg([avg(col("temperature")).alias("mean"), count(col("temperature")).alias("readings")])?
        .sort(["hour"])
}

/// A file for each of thirty days, with a reading every ten minutes: as warm as the hour, and a degree more in the
/// second half of each hour. Every hundredth reading is missing.
pub(crate) fn write_readings(folder: &Path) -> std::io::Result<()> {
    let mut number = 0;
    for day in 1..=30 {
        let mut text = String::from("ts,sensor,temperature\n");
        for minute in (0..24 * 60).step_by(10) {
            let (hour, minute) = (minute / 60, minute % 60);
            number += 1;
            let temperature = match number % 100 {
                0 => String::new(),
                _ => format!("{}.5", hour + minute / 30),
            };
            let line = writeln!(text, "2026-11-{day:02}T{hour:02}:{minute:02}:00,roof,{temperature}");
            line.map_err(std::io::Error::other)?;
        }
        std::fs::write(folder.join(format!("2026-11-{day:02}.csv")), text)?;
    }
    Ok(())
}
