//! What the readers of a shared subplan want of it, together.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::utils::{conjunction, disjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, SubqueryAlias, TableScan};

use super::lineage::Lineage;
use super::table::Share;

/// One of the places where a subplan is read.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    /// Columns of the subplan.
    pub(super) columns: BTreeSet<usize>,
    /// Conditions, all of which its rows meet.
    pub(super) filters: Vec<Expr>,
    /// Whether it wants some rows only.
    pub(super) is_limited: bool,
}

impl Reader {
    pub(super) fn of(share: &Share, scan: &TableScan) -> Self {
        let all = || (0..share.schema.fields().len()).collect();
        let mut filters: Vec<Expr> = Vec::new();
        for filter in scan.filters.iter().flat_map(split_conjunction) {
            if !filters.contains(filter) {
                filters.push(filter.clone());
            }
        }
        let columns = scan.projection.as_ref().map_or_else(all, |columns| columns.iter().copied().collect());
        Self { columns, filters, is_limited: scan.fetch.is_some() }
    }
}

/// The rows and columns that all readers of a subplan want, and no more than some reader wants as far as that can be
/// said in a condition.
#[derive(Debug)]
pub(super) struct Needs {
    pub(super) columns: Vec<usize>,
    predicates: Vec<Expr>,
    /// Whether some conditions are not those of all readers.
    pub(super) differ: bool,
}

impl Needs {
    /// What these readers want: the columns of any; what all their conditions have in common, and one or the other of
    /// what is left.
    ///
    /// ```text
    ///  a = 1 AND k = 2 AND s > 5        a = 1
    ///  a = 1 AND k = 3             ──▶  AND (k = 2 OR k = 3)                    on keys: goes below the aggregation
    ///                                   AND (k = 2 AND s > 5 OR k = 3)
    /// ```
    pub(super) fn of(share: &Share, plan: &LogicalPlan, readers: &[Reader]) -> Result<Self> {
        let mut columns: BTreeSet<usize> =
            readers.iter().flat_map(|reader| reader.columns.iter().copied()).collect();
        // Rows without columns would have to be counted apart.
        if columns.is_empty() {
            columns.insert(0);
        }
        let in_all = |filter: &&Expr| readers.iter().all(|reader| reader.filters.contains(filter));
        let common: Vec<Expr> = readers
            .first()
            .map(|first| first.filters.iter().filter(in_all).cloned().collect())
            .unwrap_or_default();
        let rest: Vec<Vec<Expr>> = readers
            .iter()
            .map(|reader| reader.filters.iter().filter(|filter| !common.contains(filter)).cloned().collect())
            .collect();
        let differ = rest.iter().any(|filters| !filters.is_empty());
        let mut computed = HashSet::new();
        for column in rest.iter().flatten().flat_map(Expr::column_refs) {
            let index = share.schema.index_of(column.name())?;
            if Lineage::of(plan, index)?.is_computed {
                computed.insert(column.clone());
            }
        }
        let on_keys = |filter: &&Expr| filter.column_refs().is_disjoint(&computed.iter().collect());
        let rest_on_keys: Vec<Vec<Expr>> =
            rest.iter().map(|filters| filters.iter().filter(on_keys).cloned().collect()).collect();
        let mut predicates = common;
        let whole = any_of(&rest);
        let keys = any_of(&rest_on_keys).filter(|keys| whole.as_ref() != Some(keys));
        predicates.extend(keys);
        predicates.extend(whole);
        Ok(Self { columns: columns.into_iter().collect(), predicates, differ })
    }

    /// The subplan with nothing but that, its columns named as its readers know them.
    pub(super) fn applied(&self, share: &Share, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let columns = plan.schema().columns().into_iter().zip(share.schema.fields());
        let named = columns.map(|(column, field)| Expr::Column(column).alias(field.name())).collect();
        let plan = LogicalPlan::Projection(Projection::try_new(named, Arc::new(plan.clone()))?);
        let alias = SubqueryAlias::try_new(Arc::new(plan), share.name.clone())?;
        let mut plan = LogicalPlan::SubqueryAlias(alias);
        if let Some(predicate) = conjunction(self.predicates.iter().cloned()) {
            plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
        }
        let wanted = self.columns.iter().map(|index| Expr::Column(share.column(*index))).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(wanted, Arc::new(plan))?))
    }
}

/// One or the other of several sets of conditions; nothing if one of them is empty.
fn any_of(sets: &[Vec<Expr>]) -> Option<Expr> {
    let mut terms: Vec<Expr> = Vec::new();
    for set in sets {
        let term = conjunction(set.iter().cloned())?;
        if !terms.contains(&term) {
            terms.push(term);
        }
    }
    disjunction(terms)
}

/// Whether each column that may be an error is computed for the rows of those readers alone that ask for it. A reader
/// whose conditions keep it from an error must not get the error of another's row.
pub(super) fn is_safe(plan: &LogicalPlan, readers: &[Reader]) -> Result<bool> {
    let filters = |reader: &Reader| -> BTreeSet<String> {
        reader.filters.iter().map(|filter| filter.to_string()).collect()
    };
    let all: HashSet<BTreeSet<String>> = readers.iter().map(filters).collect();
    if all.len() <= 1 {
        return Ok(true);
    }
    for index in 0..plan.schema().fields().len() {
        let mut users = readers.iter().filter(|reader| reader.columns.contains(&index)).peekable();
        if users.peek().is_none() {
            continue;
        }
        let own: HashSet<_> = users.map(filters).collect();
        let covers = own.iter().any(BTreeSet::is_empty) || own.len() == all.len();
        if !covers && Lineage::of(plan, index)?.may_fail {
            return Ok(false);
        }
    }
    Ok(true)
}
