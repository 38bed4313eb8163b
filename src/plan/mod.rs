//! Our rules on top of DataFusion's planners.

pub mod checked;
pub mod order;
pub mod statistics;
pub mod subquery;
