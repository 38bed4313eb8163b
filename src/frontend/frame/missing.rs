//! NULLs: fill them or leave their rows out.

use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::expr::{Family, all};
use super::{DataFrame, IntoExpr, col, refused};
use crate::error::Result;

impl<M> DataFrame<M> {
    /// Puts values in the place of NULLs: pairs of a column and what fills it, a value or an expression.
    ///
    /// An integer column that is filled with a float becomes one of floats. NaN is a value, not a NULL.
    ///
    /// # Errors
    /// Unknown columns, values that the column cannot hold.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let customers = Session::new()?.read_json("testdata/customers.json")?;
    /// let filled = customers.fillna([("segment", lit("?")), ("since", lit("unknown"))])?;
    /// assert_eq!(filled.dropna()?.count()?, customers.count()?);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn fillna<N: Into<String>, E: IntoExpr>(
        &self,
        values: impl IntoIterator<Item = (N, E)>,
    ) -> Result<Self> {
        let mut filled = Vec::new();
        for (name, value) in values {
            let name = name.into();
            self.check(&name)?;
            let value = self.bind_row(value)?;
            let (kind, other) =
                (col(&name).get_type(self.plan().schema())?, value.get_type(self.plan().schema())?);
            if !Family::of(&kind).mixes_with(Family::of(&other)) {
                return Err(refused(format!("column '{name}' is {kind}: it cannot be filled with {other}")));
            }
            filled.push(coalesce(vec![col(&name), value]).alias(name));
        }
        self.with_bound(filled)
    }

    /// [`fillna`](Self::fillna) with one value in all columns of its kind: a number in columns of numbers,
    /// a text in those of texts. Others stay as they are.
    ///
    /// # Errors
    /// No column of that kind.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let customers = Session::new()?.read_json("testdata/customers.json")?;
    /// assert_eq!(customers.fillna_all(lit("?"))?.dropna()?.count()?, 9);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn fillna_all(&self, value: Expr) -> Result<Self> {
        let kind = value.get_type(self.plan().schema())?;
        let schema = self.schema();
        let fitting =
            schema.fields().iter().filter(|field| Family::of(field.data_type()) == Family::of(&kind));
        let values: Vec<_> = fitting.map(|field| (field.name(), &value)).collect();
        if values.is_empty() {
            return Err(refused(format!("no column can be filled with {kind}")));
        }
        self.fillna(values)
    }

    /// The rows without a NULL in any column. NaN is no NULL.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let customers = Session::new()?.read_json("testdata/customers.json")?;
    /// assert_eq!(customers.dropna()?.count()?, 7);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn dropna(&self) -> Result<Self> {
        let names: Vec<String> = self.columns().into_iter().map(str::to_string).collect();
        self.dropna_in(names)
    }

    /// The rows without a NULL in any of these columns.
    ///
    /// ```
    /// # use query::blocking::Session;
    /// let customers = Session::new()?.read_json("testdata/customers.json")?;
    /// assert_eq!(customers.dropna_in(["segment"])?.count()?, 8);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn dropna_in(&self, columns: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let names = self.check_all(columns)?;
        if names.is_empty() {
            return Err(refused("dropna_in needs at least one column"));
        }
        self.filter(all(names.into_iter().map(|name| col(name).is_not_null())))
    }
}
