//! Arithmetic that never gives a wrong number in silence.
//!
//! DataFusion's `+`, `-`, `*` and unary `-` on integers wrap around, its `SUM` of integers wraps, and
//! a float divided by zero is infinite. Here each of these is an error. The operators are replaced in
//! the *logical* plan, before DataFusion folds constants (`9223372036854775807 + 1` would already have
//! wrapped); the stock `sum` is replaced in the function registry.

mod arithmetic;
mod guard;
mod rule;
mod sum;

pub use arithmetic::wrapping_functions;
pub use guard::GuardedLogic;
pub use rule::CheckedArithmetic;
pub use sum::checked_sum;
