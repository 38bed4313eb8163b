//! Joins: two frames side by side.

use datafusion::common::{Column, NullEquality};
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlanBuilder};

use super::expr::{Family, all, without_aggregate};
use super::{DataFrame, IntoExpr, refused};
use crate::error::Result;

/// The qualifiers of the two sides while they are joined.
const LEFT: &str = "left";
const RIGHT: &str = "right";
/// What is added to the name of a right column whose name the left side has too.
const SUFFIX: &str = "_right";

/// Which rows a join keeps.
///
/// ```
/// # use query::blocking::Session;
/// use query::prelude::*;
/// let session = Session::new()?;
/// let left = session.sql("values (1), (2), (3)")?;
/// let right = session.sql("values (3), (3), (4)")?;
/// let rows = |how| left.join(&right, how, ["column1"]).and_then(|joined| joined.count());
/// assert_eq!((rows(How::Inner)?, rows(How::Left)?, rows(How::Right)?, rows(How::Full)?), (2, 4, 3, 5));
/// assert_eq!((rows(How::Semi)?, rows(How::Anti)?), (1, 2));
/// # Ok::<(), query::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Pairs that match.
    Inner,
    /// Pairs that match, and the left rows without a match, NULL on the right.
    Left,
    /// Pairs that match, and the right rows without a match, NULL on the left.
    Right,
    /// Pairs that match, and the rows of both sides without a match.
    Full,
    /// Left rows that have a match, each once, without the right side's columns.
    Semi,
    /// Left rows that have no match, without the right side's columns.
    Anti,
}

impl How {
    fn join_type(self) -> JoinType {
        match self {
            Self::Inner => JoinType::Inner,
            Self::Left => JoinType::Left,
            Self::Right => JoinType::Right,
            Self::Full => JoinType::Full,
            Self::Semi => JoinType::LeftSemi,
            Self::Anti => JoinType::LeftAnti,
        }
    }

    fn has_right_columns(self) -> bool {
        !matches!(self, Self::Semi | Self::Anti)
    }
}

/// A column of the left side, in the conditions of [`DataFrame::join_on`].
///
/// ```
/// use query::prelude::*;
/// assert_eq!(left_col("id").eq(right_col("customer")).to_string(), "left.id = right.customer");
/// ```
pub fn left_col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new(Some(LEFT), name))
}

/// A column of the right side, in the conditions of [`DataFrame::join_on`].
///
/// ```
/// use query::prelude::*;
/// assert_eq!(right_col("Id").to_string(), "right.Id");
/// ```
pub fn right_col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new(Some(RIGHT), name))
}

impl<M> DataFrame<M> {
    /// Pairs rows that are equal in columns which both sides have. These come once, then the left side's
    /// other columns, then the right side's; a right column whose name is taken gets `_right` added.
    ///
    /// NULL is equal to nothing, as in SQL (pandas pairs NaN with NaN). Builds a hash table of one side,
    /// which has to fit in memory. Rows come in any order.
    ///
    /// # Errors
    /// Columns that a side does not have, columns that cannot be equal (text and a number).
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let session = Session::new()?;
    /// let sales = session.read_csv("testdata/sales/*.csv")?;
    /// let products = session.read_parquet("testdata/products.parquet")?;
    /// let named = sales.join(&products, How::Left, ["product"])?;
    /// assert_eq!(named.count()?, sales.count()?);
    /// assert_eq!(products.join(&sales, How::Anti, ["product"])?.count()?, 2);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn join(
        &self,
        right: &Self,
        how: How,
        on: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let on = self.check_all(on)?;
        right.check_all(on.iter())?;
        if on.is_empty() {
            return Err(refused("join needs columns to join on; every row with every row is cross_join"));
        }
        on.iter().try_for_each(|name| self.check_comparable(right, name))?;
        let keys = |side: &str| on.iter().map(|name| Column::new(Some(side), name)).collect::<Vec<_>>();
        let plan = self.builder().alias(LEFT)?.join_detailed(
            right.builder().alias(RIGHT)?.build()?,
            how.join_type(),
            (keys(LEFT), keys(RIGHT)),
            None,
            NullEquality::NullEqualsNothing,
        )?;
        self.joined(plan, right, how, &on)
    }

    /// Pairs rows for which all conditions are true. A column that only one side has goes by its name;
    /// one that both have is [`left_col`] or [`right_col`]. All columns of both sides stay.
    ///
    /// # Errors
    /// Unknown columns, columns of both sides that no side is named for.
    ///
    /// ```
    /// use query::blocking::Session;
    /// use query::prelude::*;
    ///
    /// let session = Session::new()?;
    /// let sales = session.read_csv("testdata/sales/*.csv")?;
    /// let customers = session.read_json("testdata/customers.json")?;
    /// let known = sales.join_on(&customers, How::Inner, [col("customer").eq(col("id"))])?;
    /// assert_eq!(known.filter(col("name").is_null())?.count()?, 0);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn join_on(
        &self,
        right: &Self,
        how: How,
        conditions: impl IntoIterator<Item = impl IntoExpr>,
    ) -> Result<Self> {
        let bind = |expr: Expr| self.bind_with(expr, |column| self.resolve_side(right, column));
        let conditions: Vec<Expr> =
            conditions.into_iter().map(|expr| bind(expr.into_expr())).collect::<Result<_>>()?;
        conditions.iter().try_for_each(without_aggregate)?;
        if conditions.is_empty() {
            return Err(refused("join_on needs a condition; every row with every row is cross_join"));
        }
        let right_plan = right.builder().alias(RIGHT)?.build()?;
        let plan = self.builder().alias(LEFT)?.join_on(right_plan, how.join_type(), [all(conditions)])?;
        self.joined(plan, right, how, &[])
    }

    /// Pairs every row with every row of the other side.
    ///
    /// ```
    /// use query::blocking::Session;
    /// let session = Session::new()?;
    /// let sizes = session.sql("select * from (values ('s'), ('l')) as t(size)")?;
    /// let colours = session.sql("select * from (values ('red'), ('blue'), ('grey')) as t(colour)")?;
    /// assert_eq!(sizes.cross_join(&colours)?.count()?, 6);
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn cross_join(&self, right: &Self) -> Result<Self> {
        let plan = self.builder().alias(LEFT)?.cross_join(right.builder().alias(RIGHT)?.build()?)?;
        self.joined(plan, right, How::Inner, &[])
    }

    /// Gives the columns of a join their names.
    fn joined(&self, plan: LogicalPlanBuilder, right: &Self, how: How, on: &[String]) -> Result<Self> {
        let is_key = |name: &str| on.iter().any(|key| key == name);
        let mut columns: Vec<(Expr, String)> = Vec::new();
        for name in self.columns() {
            let column = match how {
                How::Right if is_key(name) => right_col(name),
                How::Full if is_key(name) => coalesce(vec![left_col(name), right_col(name)]),
                _ => left_col(name),
            };
            columns.push((column, name.to_string()));
        }
        let right_columns =
            right.columns().into_iter().filter(|name| how.has_right_columns() && !is_key(name));
        for name in right_columns {
            let new =
                if self.columns().contains(&name) { format!("{name}{SUFFIX}") } else { name.to_string() };
            if columns.iter().any(|(_, taken)| *taken == new) {
                return Err(refused(format!(
                    "both sides have a column '{name}', and '{new}' is taken too: rename one of them before the join"
                )));
            }
            columns.push((right_col(name), new));
        }
        let columns = columns.into_iter().map(|(column, name)| column.alias(name));
        Self::new(self.context().clone(), plan.project(columns)?.build()?)
    }

    fn resolve_side(&self, right: &Self, column: &Column) -> Result<Column> {
        let name = column.name.as_str();
        let side = column.relation.as_ref().map(|table| table.table());
        match (side, self.check(name), right.check(name)) {
            (Some(LEFT), left, _) => left.map(|()| Column::new(Some(LEFT), name)),
            (Some(RIGHT), _, right) => right.map(|()| Column::new(Some(RIGHT), name)),
            (_, Ok(()), Ok(())) => Err(refused(format!(
                "both sides have a column '{name}': say left_col(\"{name}\") or right_col(\"{name}\")"
            ))),
            (_, Ok(()), Err(_)) => Ok(Column::new(Some(LEFT), name)),
            (_, Err(_), Ok(())) => Ok(Column::new(Some(RIGHT), name)),
            (_, Err(error), Err(_)) => Err(error),
        }
    }

    fn check_comparable(&self, right: &Self, name: &str) -> Result<()> {
        let left = self.plan().schema().field_with_unqualified_name(name)?.data_type();
        let right = right.plan().schema().field_with_unqualified_name(name)?.data_type();
        match Family::of(left).mixes_with(Family::of(right)) {
            true => Ok(()),
            false => Err(refused(format!(
                "column '{name}' is {left} on the left and {right} on the right: cast one of them before the join"
            ))),
        }
    }
}
