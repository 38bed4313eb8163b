//! SQL text to statements, ready for DataFusion's planner.
//!
//! ```text
//! script ─split─> tokens of one statement ─parse─> AST ─friendly─> AST that the planner reads as meant
//!                                                                 (or an error that names what it can't)
//! ```

mod conditions;
mod copy;
mod diagnose;
mod estimate;
mod filename;
mod friendly;
mod from_first;
mod graph;
mod materialized;
mod names;
mod outer;
mod params;
mod pipes;
mod refuse;
mod secret;
mod secret_text;
mod split;
mod statement;
mod summarize;
mod tokens;
mod using;

pub use conditions::Readings;
pub use diagnose::{Names, diagnose};
pub(crate) use diagnose::{listed, nearest};
pub use graph::GraphOf;
pub(super) use materialized::wish as materialized_wish;
pub use outer::BareNames;
pub use params::Params;
pub use refuse::Functions;
pub use secret::{Clash, CreateSecret, DropSecret, SecretStatement};
pub use secret_text::secret_spans;
pub use split::{RawStatement, Split, split};
pub use statement::Statement;
pub(super) use summarize::is_marked as is_summarized;
pub use tokens::{Rest, Tokens, tokens};

use datafusion::common::Location;

use crate::error::Script;

/// The byte offsets of a tokenizer's span; an empty span means an unknown place.
fn byte_span(script: &Script, span: sqlparser::tokenizer::Span) -> Option<std::ops::Range<usize>> {
    let start = (span.start.line, span.start.column);
    let end = (span.end.line, span.end.column);
    (start.0 > 0).then(|| script.offset(start.0, start.1)..script.offset(end.0, end.1))
}

/// The same for the spans that DataFusion keeps.
fn byte_range(script: &Script, start: Location, end: Location) -> std::ops::Range<usize> {
    script.offset(start.line, start.column)..script.offset(end.line, end.column)
}
