//! One frame below another.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::binary::type_union_resolution;
use datafusion::logical_expr::{Expr, cast, lit};

use super::expr::Family;
use super::{DataFrame, col, refused};
use crate::error::Result;

impl<M> DataFrame<M> {
    /// The rows of both frames, columns matched by name; equal rows all stay. A column that one frame
    /// lacks is NULL there. Numbers of two types become the wider one.
    ///
    /// # Errors
    /// Columns of one name that hold different things (text and numbers), frames without a common column.
    ///
    /// ```
    /// use query::blocking::Session;
    ///
    /// let session = Session::new()?;
    /// let october = session.read_csv("testdata/sales/2026-10.csv")?;
    /// let november = session.read_csv("testdata/sales/2026-11.csv")?;
    /// assert_eq!(october.union(&november)?.count()?, 46);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn union(&self, other: &Self) -> Result<Self> {
        let (left, right) = (self.schema(), other.schema());
        let mut names: Vec<(String, DataType)> = Vec::new();
        let mut common = 0;
        for field in left.fields().iter().chain(right.fields()) {
            if names.iter().any(|(name, _)| name == field.name()) {
                common += 1;
                continue;
            }
            let other = right.field_with_name(field.name()).unwrap_or(field);
            let (ours, theirs) = (field.data_type(), other.data_type());
            let mixed = Family::of(ours).mixes_with(Family::of(theirs));
            let kind = if ours == theirs {
                Some(ours.clone())
            } else {
                type_union_resolution(&[ours.clone(), theirs.clone()])
            };
            match kind.filter(|_| mixed) {
                Some(kind) => names.push((field.name().clone(), kind)),
                None => {
                    return Err(refused(format!(
                        "column '{}' is {ours} in one frame and {theirs} in the other: cast one of them before the union",
                        field.name()
                    )));
                }
            }
        }
        if common == 0 {
            return Err(refused("the frames have no column in common: union matches columns by name"));
        }
        let below = other.aligned(&names)?.plan().clone();
        self.aligned(&names)?.derive(|plan| plan.union(below))
    }

    /// These columns in this order, NULL where there is none.
    fn aligned(&self, columns: &[(String, DataType)]) -> Result<Self> {
        let own = self.schema();
        let columns = columns.iter().map(|(name, kind)| -> Result<Expr> {
            Ok(match own.field_with_name(name) {
                Ok(field) if field.data_type() == kind => col(name),
                Ok(_) => cast(col(name), kind.clone()).alias(name),
                Err(_) => lit(ScalarValue::try_from(kind)?).alias(name),
            })
        });
        self.project(columns.collect::<Result<_>>()?)
    }
}
