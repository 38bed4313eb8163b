//! Our rules on top of DataFusion's planners.

pub mod broadcast;
pub mod builds;
pub mod checked;
pub mod clustered;
pub mod correlated;
pub mod first_rows;
mod footers;
pub mod grouping_sets;
pub mod having;
pub mod limits;
pub mod lower;
pub mod join_filter;
pub mod order;
mod own_filter;
pub mod pieces;
pub mod pushdown;
pub mod row_filters;
mod rules;
pub mod shared;
pub mod statistics;
pub mod subquery;
pub mod truth;
