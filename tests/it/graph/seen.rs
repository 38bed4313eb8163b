//! A function in queries that writes down where it is computed, and of how many rows.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::mem;
use std::sync::{Arc, Mutex};
use std::thread;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Rows by the name of the thread.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<BTreeMap<String, usize>>);

impl Log {
    /// What was written down since the last call.
    pub(super) fn take(&self) -> BTreeMap<String, usize> {
        mem::take(&mut self.0.lock().unwrap())
    }
}

/// Gives its one number back.
pub(super) fn seen(log: &Arc<Log>) -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Int64], Volatility::Volatile);
    ScalarUDF::new_from_impl(Seen { log: Arc::clone(log), signature })
}

#[derive(Debug)]
struct Seen {
    log: Arc<Log>,
    signature: Signature,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.log, &other.log)
    }
}

impl Eq for Seen {}

impl Hash for Seen {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.log).hash(state);
    }
}

impl ScalarUDFImpl for Seen {
    fn name(&self) -> &str {
        "seen"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let name = thread::current().name().unwrap_or_default().to_string();
        *self.log.0.lock().unwrap().entry(name).or_default() += args.number_rows;
        Ok(args.args.swap_remove(0))
    }
}
