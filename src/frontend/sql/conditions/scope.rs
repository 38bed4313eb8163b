//! The columns that can be named in a place, as far as they are keys of something.

use sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, ObjectName, SelectItem, SelectItemQualifiedWildcardKind, TableAlias,
    WildcardAdditionalOptions,
};

use super::super::friendly::normal;
use super::gather::{Source, column};

#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    pub(super) table: Option<String>,
    pub(super) name: String,
    /// Empty if it is no key.
    pub(super) sources: Vec<Source>,
}

/// Columns by name; where nothing unknown is among them, by place too.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) columns: Vec<Column>,
    /// Whether these are all columns, in their order. Relations have others, which are not known.
    pub(super) is_complete: bool,
}

impl Scope {
    /// Where the values of a column come from: several places if rows or keys of several come together in it.
    pub(super) fn sources(&self, path: &[Ident]) -> Vec<Source> {
        let Some((name, tables)) = path.split_last() else { return Vec::new() };
        let (name, table) = (normal(name), tables.last().map(normal));
        let is_meant = |column: &&Column| column.name == name && (table.is_none() || column.table == table);
        self.columns.iter().filter(is_meant).flat_map(|column| column.sources.clone()).collect()
    }

    /// The same columns under the name of a table.
    pub(super) fn called(mut self, alias: Option<&TableAlias>) -> Self {
        let Some(alias) = alias else { return self };
        if !alias.columns.is_empty() {
            // Who does not know the place of a column does not know its new name.
            if !self.is_complete {
                return Self::default();
            }
            for (column, named) in self.columns.iter_mut().zip(&alias.columns) {
                column.name = normal(&named.name);
            }
        }
        self.named(&alias.name)
    }

    pub(super) fn named(mut self, table: &Ident) -> Self {
        self.columns.iter_mut().for_each(|column| column.table = Some(normal(table)));
        self
    }

    /// The columns of both.
    pub(super) fn beside(mut self, other: Self) -> Self {
        self.columns.extend(other.columns);
        self.is_complete &= other.is_complete;
        self
    }

    /// The columns of a UNION and the like: by place if all places are known, else by name.
    pub(super) fn united(mut self, other: &Self) -> Self {
        let by_place = self.is_complete && other.is_complete;
        for (place, column) in self.columns.iter_mut().enumerate() {
            let same = match by_place {
                true => other.columns.get(place),
                false => other.columns.iter().find(|other| other.name == column.name),
            };
            column.sources.extend(same.into_iter().flat_map(|same| same.sources.clone()));
        }
        self
    }

    /// The columns of a SELECT list.
    pub(super) fn projected(&self, items: &[SelectItem]) -> Self {
        let mut projected = Self { columns: Vec::new(), is_complete: true };
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => projected.columns.push(self.item(expr, None)),
                SelectItem::ExprWithAlias { expr, alias } => {
                    projected.columns.push(self.item(expr, Some(alias)));
                }
                SelectItem::ExprWithAliases { aliases, .. } => {
                    projected.columns.extend(aliases.iter().map(|_| Column::default()));
                }
                SelectItem::Wildcard(options) => projected.take(self.starred(None, options), self),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    projected.take(self.starred(Some(&last(name)), options), self);
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _) => {
                    projected.is_complete = false;
                }
            }
        }
        projected
    }

    fn take(&mut self, columns: Vec<Column>, of: &Self) {
        self.columns.extend(columns);
        self.is_complete &= of.is_complete;
    }

    /// The column that an expression gives.
    pub(super) fn item(&self, expr: &Expr, alias: Option<&Ident>) -> Column {
        let path = column(expr).unwrap_or_default();
        let sources = self.sources(path);
        match (alias, path.split_last()) {
            (Some(alias), _) => Column { table: None, name: normal(alias), sources },
            (None, Some((name, _))) => {
                let table = self.columns.iter().find(|column| column.name == normal(name));
                Column { table: table.and_then(|column| column.table.clone()), name: normal(name), sources }
            }
            (None, None) => Column::default(),
        }
    }

    fn starred(&self, table: Option<&str>, options: &WildcardAdditionalOptions) -> Vec<Column> {
        let gone: Vec<String> = match &options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => vec![last(name)],
            Some(ExcludeSelectItem::Multiple(names)) => names.iter().map(last).collect(),
            None => Vec::new(),
        };
        let replaced: Vec<String> = match &options.opt_replace {
            Some(replace) => replace.items.iter().map(|item| normal(&item.column_name)).collect(),
            None => Vec::new(),
        };
        let is_meant = |column: &&Column| table.is_none_or(|table| column.table.as_deref() == Some(table));
        let meant = self.columns.iter().filter(is_meant).filter(|column| !gone.contains(&column.name));
        let starred = meant.cloned().map(|mut column| {
            if replaced.contains(&column.name) {
                column.sources.clear();
            }
            column
        });
        starred.collect()
    }

    /// The columns of rows that nobody may choose from, because others would come in their place.
    pub(super) fn closed(mut self) -> Self {
        self.columns.iter_mut().for_each(|column| column.sources.clear());
        self
    }
}

/// The last part of a name: `t` and `public.t` are one table.
pub(super) fn last(name: &ObjectName) -> String {
    match name.0.last().and_then(|part| part.as_ident()) {
        Some(part) => normal(part),
        None => name.to_string(),
    }
}
