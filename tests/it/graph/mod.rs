//! Task graphs of whole queries.

mod filters;
mod hang;
mod limit;
mod lower;
mod repeats;
mod seen;
mod shared;
mod stock;
mod threads;
mod watched;
