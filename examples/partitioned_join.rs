//! A join, and its rows written as Parquet in a folder for each category.
//!
//! In Dask:
//!
//! ```python
//! sales = dd.read_csv("testdata/sales/*.csv").merge(dd.read_parquet("testdata/products.parquet"), on="product")
//! sales.to_parquet("by-category", partition_on=["category"])
//! ```
//!
//! Run it with `cargo run --example partitioned_join`.

use std::path::Path;

use query::blocking::{DataFrame, Session};
use query::prelude::{How, asc, col, desc, sum};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");

pub(crate) fn main() -> query::Result<()> {
    let room = tempfile::tempdir().map_err(|source| query::Error::io("make", "a folder", source))?;
    let target = room.path().join("by-category");

    let session = Session::new()?;
    write_by_category(&session, &target)?;
    best_products(&session, &target)?.show()
}

/// Writes each sale with its product's category and price; gives the number of rows.
pub(crate) fn write_by_category(session: &Session, target: &Path) -> query::Result<u64> {
    let sales = session.read_csv(&format!("{DATA}/sales/*.csv"))?;
    let products = session.read_parquet(&format!("{DATA}/products.parquet"))?;
    let named = sales.join(&products, How::Inner, ["product"])?;
    named.partition_by(["category"])?.write_parquet(target)
}

/// What was sold of each product, from the files that were written: the folder's name is the category.
pub(crate) fn best_products(session: &Session, folder: &Path) -> query::Result<DataFrame> {
    session
        .read_parquet(&folder.display().to_string())?
        .group_by(["category", "product"])
        .agg([sum(col("amount")).alias("amount")])?
        .sort([asc("category"), desc("amount")])
}
