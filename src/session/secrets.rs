//! The statements about secrets.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use super::{Outcome, Session};
use crate::error::{Result, StatementError};
use crate::frontend::sql::{Clash, CreateSecret, DropSecret, Params, SecretStatement, nearest};
use crate::hidden;
use crate::store::{Secret, Secrets};

impl Session {
    /// The secrets that the session's stores are opened with.
    pub fn secrets(&self) -> &Arc<Secrets> {
        self.stores.secrets()
    }

    /// Carries out a statement about secrets. Stores are opened anew after a change.
    pub(super) fn carry_out_secret(&self, statement: &SecretStatement, params: &Params) -> Result<Outcome> {
        match statement {
            SecretStatement::Create(create) => self.create_secret(create, params),
            SecretStatement::Drop(drop) => self.drop_secret(drop),
            SecretStatement::Show => Ok(Outcome::Rows(Box::pin(self.shown_secrets()?))),
        }
    }

    fn create_secret(&self, create: &CreateSecret, params: &Params) -> Result<Outcome> {
        let secret = create.secret(params)?;
        match create.clash {
            Clash::Keep if self.secrets().get(&secret.name).is_some() => return Ok(Outcome::Done),
            Clash::Fail if self.secrets().get(&secret.name).is_some() => {
                let message = format!("there is a secret '{}' already", secret.name);
                let error = StatementError::new(message, Some(create.place().clone()));
                let help = "CREATE OR REPLACE SECRET puts another in its place";
                return Err(error.with_help(help).into());
            }
            Clash::Fail | Clash::Keep | Clash::Replace => {}
        }
        self.secrets().insert(secret);
        self.stores.forget();
        Ok(Outcome::Done)
    }

    fn drop_secret(&self, drop: &DropSecret) -> Result<Outcome> {
        if self.secrets().remove(&drop.name).is_some() {
            self.stores.forget();
            return Ok(Outcome::Done);
        }
        if drop.if_exists {
            return Ok(Outcome::Done);
        }
        let names: Vec<_> = self.secrets().all().iter().map(|secret| secret.name.clone()).collect();
        let message = format!("there is no secret '{}'", drop.name);
        let error = StatementError::new(message, Some(drop.place.clone()));
        Err(match nearest(&drop.name, &names) {
            Some(near) => error.with_help(format!("did you mean '{near}'?")),
            None => error.with_help("SHOW SECRETS lists them"),
        }
        .into())
    }

    /// A row for each secret, by name, with the names of its settings and without their values.
    fn shown_secrets(
        &self,
    ) -> Result<RecordBatchStreamAdapter<stream::Iter<std::array::IntoIter<Batch, 1>>>> {
        let secrets = self.secrets().all();
        let column = |of: &dyn Fn(&Secret) -> Option<String>| -> ArrayRef {
            Arc::new(secrets.iter().map(|secret| of(secret)).collect::<StringArray>())
        };
        let settings =
            |secret: &Secret| secret.settings.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let columns = [
            ("name", false, column(&|secret| Some(secret.name.clone()))),
            ("type", false, column(&|secret| Some(secret.kind.name().to_string()))),
            ("provider", false, column(&|secret| Some(secret.provider().to_string()))),
            ("scope", true, column(&|secret| Some(hidden::hide(secret.scope.as_deref()?).into_owned()))),
            ("settings", false, column(&|secret| Some(settings(secret)))),
        ];
        let field =
            |(name, nullable, _): &(&str, bool, ArrayRef)| Field::new(*name, DataType::Utf8, *nullable);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(DataFusionError::from)?;
        Ok(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)])))
    }
}

type Batch = Result<RecordBatch, DataFusionError>;
