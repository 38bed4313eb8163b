//! Our rules on top of DataFusion's planners.

pub mod checked;
pub mod join_filter;
pub mod statistics;
pub mod subquery;
