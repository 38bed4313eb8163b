//! Columns from folder names: `year=2026/month=11/`, as Hive writes them.

use std::path::{Component, Path};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use percent_encoding::percent_decode_str;

use super::find::DataFile;
use crate::error::FileError;

/// The folder name that stands for NULL.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
const DATE_CHARS: usize = "2026-11-01".len();

/// The partition columns of a table's files and each file's values for them.
#[derive(Debug, Default, Clone)]
pub(super) struct Partitions {
    /// In order of appearance in the paths.
    pub(super) fields: Vec<FieldRef>,
    /// One row per file.
    pub(super) values: Vec<Vec<ScalarValue>>,
}

/// The keys in a path and their values; NULL is `None`.
pub(super) type Keys = Vec<(String, Option<String>)>;

/// Reads the keys in the files' paths.
///
/// A column is an integer if all its values are, else a date if all are, else text; declared columns keep
/// their type. A file whose path lacks a key has NULL there.
///
/// # Errors
/// A value that is not of its declared type.
pub(super) fn partitions(files: &[DataFile], declared: &[FieldRef]) -> Result<Partitions> {
    let all: Vec<_> = files.iter().map(|file| keys(&file.path)).collect();
    typed(&all, declared).map_err(|Misfit { row, key, text, kind }| {
        let name = files.get(row).map(DataFile::name).unwrap_or_default();
        FileError::new(name, format!("'{key}={text}' is not of type {kind}")).into()
    })
}

/// A value that is not of the type that its column was declared with.
#[derive(Debug)]
pub(super) struct Misfit {
    row: usize,
    key: String,
    text: String,
    kind: DataType,
}

/// Gives keys their types, as for [`partitions`].
///
/// # Errors
/// A value that is not of its declared type.
pub(super) fn typed(rows: &[Keys], declared: &[FieldRef]) -> Result<Partitions, Misfit> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let value = |keys: &Keys, name: &str| {
        keys.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone())
    };
    let mut partitions = Partitions { fields: Vec::new(), values: vec![Vec::new(); rows.len()] };
    for name in names {
        let texts: Vec<_> = rows.iter().map(|keys| value(keys, name)).collect();
        let kind = match declared.iter().find(|field| field.name() == name) {
            Some(field) => field.data_type().clone(),
            None => kind(texts.iter().flatten().map(String::as_str)),
        };
        for (row, (text, values)) in texts.iter().zip(&mut partitions.values).enumerate() {
            let misfit = |text: &str| Misfit { row, key: name.into(), text: text.into(), kind: kind.clone() };
            let value = match text {
                None => ScalarValue::try_new_null(&kind).map_err(|_| misfit("NULL")),
                Some(text) => ScalarValue::try_from_string(text.clone(), &kind).map_err(|_| misfit(text)),
            };
            values.push(value?);
        }
        let nullable = texts.iter().any(Option::is_none);
        partitions.fields.push(Arc::new(Field::new(name, kind, nullable)));
    }
    Ok(partitions)
}

/// The keys and values in a path's folders.
pub(super) fn keys(path: &Path) -> Keys {
    let folders = path.parent().into_iter().flat_map(Path::components);
    let named = folders.filter_map(|part| match part {
        Component::Normal(name) => name.to_str()?.split_once('='),
        _ => None,
    });
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    named
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (decoded(key), (value != NULL).then(|| decoded(value))))
        .collect()
}

fn kind<'a>(values: impl Iterator<Item = &'a str> + Clone) -> DataType {
    let is = |test: fn(&str) -> bool| values.clone().next().is_some() && values.clone().all(test);
    if is(|text| !text.starts_with('+') && text.parse::<i64>().is_ok()) {
        return DataType::Int64;
    }
    let is_date = |text: &str| {
        text.len() == DATE_CHARS && ScalarValue::try_from_string(text.into(), &DataType::Date32).is_ok()
    };
    if is(is_date) { DataType::Date32 } else { DataType::Utf8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: &[&str]) -> Partitions {
        let files: Vec<_> = paths.iter().map(DataFile::local).collect();
        partitions(&files, &[]).unwrap()
    }

    fn kinds(paths: &[&str]) -> Vec<(String, DataType, bool)> {
        let fields = of(paths).fields;
        fields.iter().map(|f| (f.name().clone(), f.data_type().clone(), f.is_nullable())).collect()
    }

    #[test]
    fn keys_have_the_type_of_all_their_values() {
        assert_eq!(
            kinds(&["t/year=2026/day=2026-11-01/r=a/x.csv", "t/year=2025/day=2026-11-02/r=1/x.csv"]),
            [
                ("year".into(), DataType::Int64, false),
                ("day".into(), DataType::Date32, false),
                ("r".into(), DataType::Utf8, false)
            ]
        );
        assert_eq!(kinds(&["t/x.csv"]), []);
    }

    #[test]
    fn missing_keys_are_null() {
        let partitions = of(&["t/k=1/x.csv", "t/k=__HIVE_DEFAULT_PARTITION__/x.csv", "t/x.csv"]);
        assert_eq!(
            partitions.values,
            [vec![ScalarValue::from(1i64)], vec![ScalarValue::Int64(None)], vec![ScalarValue::Int64(None)]]
        );
        assert!(partitions.fields[0].is_nullable());
    }

    #[test]
    fn values_are_decoded() {
        assert_eq!(of(&["t/k=a%20%26%2Fb/x"]).values, [vec![ScalarValue::from("a &/b")]]);
    }
}
