//! What `AS MATERIALIZED` and `AS NOT MATERIALIZED` leave in a plan until shared subplans are looked for.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use datafusion::common::{DFSchemaRef, Result, plan_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// What was asked for a common table expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wish {
    /// To be computed once, whatever the cost rule says. The name is the table's.
    Materialized(String),
    /// To be computed anew by each reader.
    NotMaterialized,
}

/// A node that passes its input's rows. Each definition has one; what reads it has copies.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    pub(super) id: u64,
    pub(super) wish: Wish,
    pub(super) input: Arc<LogicalPlan>,
}

/// Marks the plan of one common table expression.
pub fn marked(input: LogicalPlan, wish: Wish) -> LogicalPlan {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = NEXT.fetch_add(1, atomic::Ordering::Relaxed);
    LogicalPlan::Extension(Extension { node: Arc::new(Marker { id, wish, input: Arc::new(input) }) })
}

impl Marker {
    /// The marker that a node is, if it is one.
    pub(super) fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }
}

// Two definitions with the same text are two: each may draw its own random numbers.
impl PartialEq for Marker {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.input == other.input
    }
}

impl Eq for Marker {}

impl Hash for Marker {
    // The input is left out: it would be hashed again for each node above it.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl PartialOrd for Marker {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.id.partial_cmp(&other.id).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for Marker {
    fn name(&self) -> &str {
        match self.wish {
            Wish::Materialized(_) => "Materialized",
            Wish::NotMaterialized => "NotMaterialized",
        }
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(UserDefinedLogicalNodeCore::name(self))
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => Ok(Self { id: self.id, wish: self.wish.clone(), input: Arc::new(input) }),
            _ => plan_err!("a marker has one input"),
        }
    }
}
