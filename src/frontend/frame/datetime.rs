//! Parts of dates and times, by pandas' names: `col("ts").dt().hour()`.

use datafusion::arrow::datatypes::DataType;
use datafusion::functions::expr_fn::{date_part, date_trunc, to_char};
use datafusion::logical_expr::{Expr, cast, lit};

/// Gives expressions the accessors of dates and times.
pub trait DatetimeExt {
    /// The accessors. Texts like `2026-11-25 13:45:00` are read as timestamps.
    fn dt(self) -> Datetime;
}

impl DatetimeExt for Expr {
    fn dt(self) -> Datetime {
        Datetime(self)
    }
}

/// The parts of a date or timestamp, each an expression; NULL has NULL parts. Made by [`DatetimeExt::dt`].
///
/// ```
/// use query::blocking::Session;
/// use query::prelude::*;
///
/// let frame = Session::new()?.sql("select timestamp '2026-11-25 13:45:10.123456789' as ts")?;
/// let parts = frame.select([
///     col("ts").dt().hour().alias("hour"),
///     col("ts").dt().day_of_week().alias("weekday"),
///     col("ts").dt().floor("day").alias("day"),
///     col("ts").dt().strftime("%d/%m").alias("text"),
/// ])?;
/// assert!(parts.to_text()?.contains("13 ┆       2 ┆ 2026-11-25T00:00:00 ┆ 25/11"));
/// # Ok::<(), query::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Datetime(Expr);

/// Accessors that are one of the engine's date parts and no more, with what they give of one moment.
macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident = $part:literal, $value:literal;)*) => {
        $($(#[$doc])*
        ///
        /// ```
        /// # use query::{blocking::Session, prelude::*};
        /// let frame = Session::new()?.sql("select timestamp '2024-12-30 13:45:10.5' as ts")?;
        #[doc = concat!("let part = col(\"ts\").dt().", stringify!($name), "();")]
        #[doc = concat!("assert!(frame.select([part.alias(\"part\")])?.to_text()?.contains(\" ", $value, " │\"));")]
        /// # Ok::<(), query::Error>(())
        /// ```
        pub fn $name(self) -> Expr {
            date_part(lit($part), self.0)
        })*
    };
}

impl Datetime {
    parts! {
        /// The year.
        year = "year", "2024";
        /// The quarter, 1 to 4.
        quarter = "quarter", "4";
        /// The month, 1 to 12.
        month = "month", "12";
        /// The day of the month, 1 to 31.
        day = "day", "30";
        /// The hour, 0 to 23.
        hour = "hour", "13";
        /// The minute, 0 to 59.
        minute = "minute", "45";
        /// The second, 0 to 59, without its fraction.
        second = "second", "10";
        /// The day of the year, 1 to 366.
        day_of_year = "doy", "365";
        /// The ISO week, 1 to 53, as in pandas' `isocalendar().week`.
        week = "week", "1";
        /// The year that the ISO week belongs to, as in pandas' `isocalendar().year`.
        iso_year = "isoyear", "2025";
    }

    /// The day of the week: Monday is 0, Sunday 6, as in pandas.
    ///
    /// ```
    /// # use query::{blocking::Session, prelude::*};
    /// let frame = Session::new()?.sql("select timestamp '2024-12-30 13:45:10.123456789' as ts")?;
    /// let part = col("ts").dt().day_of_week();
    /// assert!(frame.select([part.alias("part")])?.to_text()?.contains(" 0 │"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn day_of_week(self) -> Expr {
        date_part(lit("isodow"), self.0) - lit(1)
    }

    /// The microseconds after the second, 0 to 999,999.
    ///
    /// ```
    /// # use query::{blocking::Session, prelude::*};
    /// let frame = Session::new()?.sql("select timestamp '2024-12-30 13:45:10.123456789' as ts")?;
    /// let part = col("ts").dt().microsecond();
    /// assert!(frame.select([part.alias("part")])?.to_text()?.contains(" 123456 │"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn microsecond(self) -> Expr {
        date_part(lit("microsecond"), self.0) % lit(1_000_000)
    }

    /// The nanoseconds after the microsecond, 0 to 999.
    ///
    /// ```
    /// # use query::{blocking::Session, prelude::*};
    /// let frame = Session::new()?.sql("select timestamp '2024-12-30 13:45:10.123456789' as ts")?;
    /// let part = col("ts").dt().nanosecond();
    /// assert!(frame.select([part.alias("part")])?.to_text()?.contains(" 789 │"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn nanosecond(self) -> Expr {
        date_part(lit("nanosecond"), self.0) % lit(1_000i64)
    }

    /// The date without the time.
    ///
    /// ```
    /// # use query::{blocking::Session, prelude::*};
    /// let frame = Session::new()?.sql("select timestamp '2024-12-30 13:45:10.123456789' as ts")?;
    /// let part = col("ts").dt().date();
    /// assert!(frame.select([part.alias("part")])?.to_text()?.contains(" 2024-12-30 │"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn date(self) -> Expr {
        cast(self.0, DataType::Date32)
    }

    /// The start of the `unit` it lies in: `second`, `minute`, `hour`, `day`, `week` (from Monday), `month`,
    /// `quarter` or `year`.
    ///
    /// ```
    /// # use query::{blocking::Session, prelude::*};
    /// let frame = Session::new()?.sql("select timestamp '2024-12-30 13:45:10.123456789' as ts")?;
    /// let part = col("ts").dt().floor("hour");
    /// assert!(frame.select([part.alias("part")])?.to_text()?.contains(" 2024-12-30T13:00:00 │"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn floor(self, unit: &str) -> Expr {
        date_trunc(lit(unit), self.0)
    }

    /// As text, by the directives of C's `strftime` (`%Y-%m-%d %H:%M`).
    ///
    /// ```
    /// # use query::{blocking::Session, prelude::*};
    /// let frame = Session::new()?.sql("select timestamp '2024-12-30 13:45:10.123456789' as ts")?;
    /// let part = col("ts").dt().strftime("%d/%m/%Y");
    /// assert!(frame.select([part.alias("part")])?.to_text()?.contains(" 30/12/2024 │"));
    /// # Ok::<(), query::Error>(())
    /// ```
    pub fn strftime(self, format: &str) -> Expr {
        to_char(self.0, lit(format))
    }
}
