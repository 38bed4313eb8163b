//! The statements about secrets: `CREATE SECRET`, `DROP SECRET`, `SHOW SECRETS`, in DuckDB's form.
//!
//! They are read here and not by the parser's crate: values may be parameters, and no error quotes one.

use std::sync::Arc;

use sqlparser::ast::{Ident, Statement as SqlAst};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::split::RawStatement;
use super::{Params, byte_span};
use crate::error::{Place, Result, StatementError};
use crate::store::secret::Secret;
use crate::store::setting;

/// A statement about secrets.
#[derive(Debug, Clone)]
pub enum SecretStatement {
    /// `CREATE SECRET`.
    Create(CreateSecret),
    /// `DROP SECRET`.
    Drop(DropSecret),
    /// `SHOW SECRETS`.
    Show,
}

/// `CREATE [OR REPLACE] SECRET [IF NOT EXISTS] [name] (TYPE s3, …)`.
#[derive(Debug, Clone)]
pub struct CreateSecret {
    /// `None` is the default one of its type.
    name: Option<String>,
    /// What to do if there is one of the name.
    pub clash: Clash,
    place: Place,
    settings: Vec<Setting>,
}

/// `DROP SECRET [IF EXISTS] name`.
#[derive(Debug, Clone)]
pub struct DropSecret {
    /// The secret's name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Whether it may be missing.
    pub if_exists: bool,
}

/// What to do about a secret that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clash {
    /// Refuse to make another.
    Fail,
    /// Put the new one in its place.
    Replace,
    /// Leave it as it is.
    Keep,
}

#[derive(Clone)]
struct Setting {
    name: String,
    name_place: Place,
    value: Value,
    value_place: Place,
}

#[derive(Clone)]
enum Value {
    Text(String),
    /// By name, without its mark.
    Parameter(String),
}

/// Without the value.
impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl SecretStatement {
    /// The tree that the parser's crate has for it, without its settings.
    pub(super) fn ast(&self) -> SqlAst {
        match self {
            Self::Create(create) => SqlAst::CreateSecret {
                or_replace: create.clash == Clash::Replace,
                temporary: None,
                if_not_exists: create.clash == Clash::Keep,
                name: create.name.as_deref().map(Ident::new),
                storage_specifier: None,
                secret_type: Ident::new("secret"),
                options: Vec::new(),
            },
            Self::Drop(drop) => SqlAst::DropSecret {
                if_exists: drop.if_exists,
                temporary: None,
                name: Ident::new(&drop.name),
                storage_specifier: None,
            },
            Self::Show => SqlAst::ShowVariable { variable: vec![Ident::new("secrets")] },
        }
    }
}

impl CreateSecret {
    /// The statement's place.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The secret that is to be made.
    ///
    /// # Errors
    /// Parameters without a value; what [`setting::secret`] refuses, at its place.
    pub fn secret(&self, params: &Params) -> Result<Secret> {
        let mut given = Vec::new();
        for setting in &self.settings {
            let value = match &setting.value {
                Value::Text(text) => text.clone(),
                Value::Parameter(name) => params.get(name).map(str::to_string).ok_or_else(|| {
                    StatementError::new(
                        format!("parameter '${name}' has no value"),
                        Some(setting.value_place.clone()),
                    )
                })?,
            };
            given.push((setting.name.clone(), value));
        }
        setting::secret(self.name.as_deref(), &given).map_err(|wrong| {
            let of = |setting: &&Setting| wrong.setting.as_deref() == Some(setting.name.as_str());
            // What is said twice is wrong the second time.
            let place = match self.settings.iter().rfind(of) {
                Some(setting) if wrong.is_name => &setting.name_place,
                Some(setting) => &setting.value_place,
                None => &self.place,
            };
            let mut error = StatementError::new(wrong.message, Some(place.clone()));
            error.help.extend(wrong.help);
            error.into()
        })
    }

    /// The parameters that its values are.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().filter(|setting| !Secret::is_plain(&setting.name)).filter_map(|setting| {
            match &setting.value {
                Value::Parameter(name) => Some(name.as_str()),
                Value::Text(_) => None,
            }
        })
    }
}

/// Reads a statement about secrets; `None` if it is about something else.
pub(super) fn parse(raw: &RawStatement) -> Option<Result<SecretStatement>> {
    let mut reader = Reader { raw, words: raw.words().collect(), at: 0 };
    if reader.take("SHOW") {
        return (reader.take("SECRETS") && reader.words.len() == 2).then_some(Ok(SecretStatement::Show));
    }
    let is_create = reader.take("CREATE");
    if !is_create && !reader.take("DROP") {
        return None;
    }
    let replaces = is_create && reader.take("OR") && reader.take("REPLACE");
    let lasting = reader.place();
    let lasts = reader.take("PERSISTENT");
    let _ = !lasts && (reader.take("TEMPORARY") || reader.take("TEMP"));
    if !reader.take("SECRET") {
        return None;
    }
    if lasts {
        return Some(Err(lasting_secret(lasting)));
    }
    Some(if is_create { reader.create(replaces) } else { reader.drop() })
}

fn lasting_secret(place: Place) -> crate::Error {
    let error = StatementError::new("secrets that are made by a statement end with the session", Some(place));
    error
        .with_help("put one that is to last into the configuration file, as [secrets.NAME]: docs/secrets.md")
        .into()
}

struct Reader<'a> {
    raw: &'a RawStatement,
    words: Vec<&'a TokenWithSpan>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn create(mut self, replaces: bool) -> Result<SecretStatement> {
        let mut clash = if replaces { Clash::Replace } else { Clash::Fail };
        if self.peek("IF") && !self.peek_at(1, &Token::LParen) {
            let place = self.place();
            self.at += 1;
            if !self.take("NOT") || !self.take("EXISTS") {
                return Err(self.expected("NOT EXISTS after IF"));
            }
            if replaces {
                let message = "OR REPLACE and IF NOT EXISTS rule each other out";
                return Err(StatementError::new(message, Some(place)).into());
            }
            clash = Clash::Keep;
        }
        let name = match self.peek_at(0, &Token::LParen) {
            true => None,
            false => Some(self.name("a name or (")?),
        };
        if self.peek("IN") {
            return Err(lasting_secret(self.place()));
        }
        self.sign(&Token::LParen, "( before the settings")?;
        let mut settings = Vec::new();
        while !self.peek_at(0, &Token::RParen) {
            settings.push(self.setting()?);
            if !self.peek_at(0, &Token::RParen) {
                self.sign(&Token::Comma, ", or ) after a setting")?;
            }
        }
        self.at += 1;
        self.end()?;
        Ok(SecretStatement::Create(CreateSecret { name, clash, place: self.raw.place(), settings }))
    }

    fn drop(mut self) -> Result<SecretStatement> {
        let if_exists = self.take("IF");
        if if_exists && !self.take("EXISTS") {
            return Err(self.expected("EXISTS after IF"));
        }
        let place = self.place();
        let name = self.name("the name of a secret")?;
        self.end()?;
        Ok(SecretStatement::Drop(DropSecret { name, place, if_exists }))
    }

    fn setting(&mut self) -> Result<Setting> {
        let name_place = self.place();
        let name = self.name("the name of a setting")?.to_lowercase();
        // `KEY_ID = 'x'` and `KEY_ID := 'x'` are the same.
        if self.peek_at(0, &Token::Eq) || self.peek_at(0, &Token::Assignment) {
            self.at += 1;
        }
        let first = self.place();
        let value = self.value(&name)?;
        let last = self.words[self.at - 1];
        let end = byte_span(&self.raw.script, last.span).map_or(first.span.end, |span| span.end);
        let value_place = Place { script: first.script, span: first.span.start..end };
        Ok(Setting { name, name_place, value, value_place })
    }

    fn value(&mut self, name: &str) -> Result<Value> {
        let text = match self.token() {
            Some(Token::Word(word)) if self.peek("MAP") && word.quote_style.is_none() => {
                self.at += 1;
                return self.map().map(Value::Text);
            }
            Some(Token::Word(word)) => word.value.clone(),
            Some(Token::Number(digits, _)) => digits.clone(),
            Some(Token::Placeholder(name)) => {
                self.at += 1;
                return Ok(Value::Parameter(name.trim_start_matches('$').to_string()));
            }
            Some(token) => match string(token) {
                Some(text) => text,
                None => return Err(self.expected(&format!("a value for '{name}'"))),
            },
            None => return Err(self.expected(&format!("a value for '{name}'"))),
        };
        self.at += 1;
        Ok(Value::Text(text))
    }

    /// `MAP {'name': 'value', …}`, as lines of `name: value`.
    fn map(&mut self) -> Result<String> {
        self.sign(&Token::LBrace, "{ after MAP")?;
        let mut lines = Vec::new();
        while !self.peek_at(0, &Token::RBrace) {
            let name = self.text("a name in quotes")?;
            self.sign(&Token::Colon, ": behind a name")?;
            lines.push(format!("{name}: {}", self.text("a value in quotes")?));
            if !self.peek_at(0, &Token::RBrace) {
                self.sign(&Token::Comma, ", or } after a value")?;
            }
        }
        self.at += 1;
        Ok(lines.join("\n"))
    }

    fn text(&mut self, what: &str) -> Result<String> {
        let found = self.words.get(self.at).and_then(|word| string(&word.token));
        let found = found.ok_or_else(|| self.expected(what))?;
        self.at += 1;
        Ok(found)
    }

    fn name(&mut self, what: &str) -> Result<String> {
        match self.token() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() })
            }
            Some(_) | None => Err(self.expected(what)),
        }
    }

    fn sign(&mut self, sign: &Token, what: &str) -> Result<()> {
        match self.peek_at(0, sign) {
            true => self.at += 1,
            false => return Err(self.expected(what)),
        }
        Ok(())
    }

    fn end(&self) -> Result<()> {
        match self.words.get(self.at) {
            Some(_) => Err(self.expected("the end of the statement")),
            None => Ok(()),
        }
    }

    /// An error that tells the kind of what stands here, and its text only if it is a sign or a bare word.
    fn expected(&self, what: &str) -> crate::Error {
        let found = match self.token() {
            None => "the end of the statement".into(),
            Some(Token::Word(word)) if word.quote_style.is_none() && self.is_name_place() => {
                word.value.clone()
            }
            Some(
                Token::Comma | Token::LParen | Token::RParen | Token::LBrace | Token::RBrace | Token::Colon,
            ) => self.words.get(self.at).map(|word| word.token.to_string()).unwrap_or_default(),
            Some(_) => "something else".into(),
        };
        StatementError::new(format!("expected {what}, found {found}"), Some(self.place())).into()
    }

    /// Whether no value can stand here: a bare word may be one that lacks its quotes.
    fn is_name_place(&self) -> bool {
        !self.words[..self.at].iter().any(|word| word.token == Token::LParen)
    }

    fn token(&self) -> Option<&'a Token> {
        self.words.get(self.at).map(|word| &word.token)
    }

    fn peek(&self, word: &str) -> bool {
        matches!(
            self.token(),
            Some(Token::Word(found)) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word)
        )
    }

    fn peek_at(&self, ahead: usize, sign: &Token) -> bool {
        self.words.get(self.at + ahead).is_some_and(|word| word.token == *sign)
    }

    fn take(&mut self, word: &str) -> bool {
        let is = self.peek(word);
        self.at += usize::from(is);
        is
    }

    /// The place of the next word; at the end, behind the last.
    fn place(&self) -> Place {
        let Place { script, span } = self.raw.place();
        let word = self.words.get(self.at).and_then(|word| byte_span(&script, word.span));
        let span = word.unwrap_or(span.end..span.end);
        Place { script: Arc::clone(&script), span }
    }
}

/// The text of a string, however it is quoted.
pub(super) fn string(token: &Token) -> Option<String> {
    match token {
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::NationalStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::TripleSingleQuotedString(text)
        | Token::DoubleQuotedString(text) => Some(text.clone()),
        Token::DollarQuotedString(text) => Some(text.value.clone()),
        _ => None,
    }
}
