//! Task graphs of whole queries.

mod agree;
mod arrays;
mod builds;
mod clustered;
mod filters;
mod hang;
mod limit;
mod lower;
mod partial;
mod pieces;
mod repeats;
mod seen;
mod shared;
mod stock;
mod threads;
mod watched;
