//! What an object in a store of the network holds, found out with as few requests as it takes: one for most.

use std::io::Cursor;
use std::sync::{Arc, OnceLock};

use ::bytes::Bytes;
use arrow_avro::reader::read_header_info;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use object_store::memory::InMemory;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::arrow_check::{self, Parts};
use super::bytes::{self, Start};
use super::find::DataFile;
use super::format::{self, Encoding, Format, Layout};
use super::guard::inspected;
use super::remote::{Remote, footer_bytes};
use super::shape::{Reader, Shape, check_names, names};
use crate::error::FileError;

/// A header that is longer is none.
const HEADER_BYTES_MAX: u64 = 64 << 20;

/// How a table's objects are looked into.
pub(super) struct Look {
    /// What the reader is, as far as it makes a difference.
    id: OnceLock<Arc<str>>,
    /// Bytes to read at the end of an object with a footer.
    pub(super) footer_bytes: usize,
}

impl Look {
    /// Into so many objects.
    pub(super) fn new(objects: usize) -> Self {
        Self { id: OnceLock::new(), footer_bytes: footer_bytes(objects) }
    }
}

impl Reader {
    /// Looks into an object, or remembers what was seen of just this version of it.
    ///
    /// # Errors
    /// As for a local file.
    pub(super) async fn shape_of_object(
        &self,
        state: &dyn Session,
        remote: &Arc<Remote>,
        file: &DataFile,
        meta: &ObjectMeta,
        look: &Look,
    ) -> Result<Shape> {
        let id = look.id.get_or_init(|| self.id());
        if let Some(shape) = remote.look(meta, id) {
            return Ok(shape);
        }
        let name = file.name();
        let shape = inspected(&name, async {
            if meta.size == 0 {
                return Err(FileError::new(&name, "it is empty").into());
            }
            let shape = self.looked(state, remote, &name, meta, look).await?;
            check_names(&name, names(&shape.schema))?;
            Ok(shape)
        });
        let shape = shape.await?;
        remote.add_look(meta, id, shape.clone());
        Ok(shape)
    }

    async fn looked(
        &self,
        state: &dyn Session,
        remote: &Arc<Remote>,
        name: &str,
        meta: &ObjectMeta,
        look: &Look,
    ) -> Result<Shape> {
        if self.format == Format::Parquet {
            let encoding = Encoding { compression: FileCompressionType::UNCOMPRESSED, layout: Layout::Plain };
            let schema = match self.parquet(remote, name, meta, look).await {
                Ok(schema) => schema,
                Err(error) => {
                    // A compression around it says more than that the end is none of a Parquet file.
                    format::encoding_of(name, self.format, &remote.start(meta).await?)?;
                    return Err(error);
                }
            };
            return Ok(Shape { schema, encoding });
        }
        let start = remote.start(meta).await?;
        let encoding = format::encoding_of(name, self.format, &start)?;
        let schema = match (self.format.text(), self.format) {
            (Some(text), _) => {
                let decoding = self.decoding(name.to_string(), encoding);
                let store = remote.pinned([meta]);
                let start = Start { bytes: start, size: meta.size };
                let records = self.records_max() + 1;
                let sample = bytes::sample(&store, &meta.location, &decoding, records, Some(start)).await?;
                self.text_schema(name, text, sample)?
            }
            (None, Format::Arrow) => {
                let mut parts = Parts::of_object(Arc::clone(remote), meta.clone());
                arrow_check::check(&mut parts, encoding.layout).await?;
                match encoding.layout {
                    Layout::ArrowStream => first_message(remote, meta, start).await?,
                    Layout::Plain | Layout::JsonArray => arrow_check::footer_schema(&mut parts).await?,
                }
            }
            (None, _) => {
                let header = avro_header(remote, meta, start).await?;
                self.inferred(state, meta, header).await?
            }
        };
        Ok(Shape { schema, encoding })
    }

    async fn parquet(
        &self,
        remote: &Arc<Remote>,
        name: &str,
        meta: &ObjectMeta,
        look: &Look,
    ) -> Result<SchemaRef> {
        let engine = self.engine.downcast_ref::<ParquetFormat>();
        let engine = engine.ok_or_else(|| internal_datafusion_err!("Parquet is read by another format"))?;
        let schema = remote.parquet_schema(engine, meta, look.footer_bytes).await?;
        let footer = remote.footer(meta, look.footer_bytes).await?;
        let columns = footer.file_metadata().schema_descr().root_schema().get_fields();
        check_names(name, columns.iter().map(|column| column.name()))?;
        Ok(schema)
    }

    /// The columns that the engine takes a file for that begins so.
    async fn inferred(&self, state: &dyn Session, meta: &ObjectMeta, start: Bytes) -> Result<SchemaRef> {
        let size = start.len() as u64;
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&meta.location, start.into()).await?;
        let meta = ObjectMeta { size, ..meta.clone() };
        self.engine.infer_schema(state, &store, std::slice::from_ref(&meta)).await
    }
}

/// More of an object's start: eight times as much.
async fn more(remote: &Arc<Remote>, meta: &ObjectMeta, start: &Bytes) -> Result<Bytes> {
    let length = (start.len() as u64 * 8).min(meta.size).min(HEADER_BYTES_MAX);
    remote.bytes(meta, 0..length).await
}

fn is_all(meta: &ObjectMeta, start: &Bytes) -> bool {
    start.len() as u64 >= meta.size.min(HEADER_BYTES_MAX)
}

/// The header of an Avro file, which is one without rows.
async fn avro_header(remote: &Arc<Remote>, meta: &ObjectMeta, mut start: Bytes) -> Result<Bytes> {
    loop {
        match read_header_info(Cursor::new(&start)) {
            Ok(info) => {
                let length = usize::try_from(info.header_len()).unwrap_or(usize::MAX);
                return Ok(start.slice(..length.min(start.len())));
            }
            Err(error) if is_all(meta, &start) => return Err(ArrowError::from(error).into()),
            Err(_) => start = more(remote, meta, &start).await?,
        }
    }
}

/// The columns that the first message of an Arrow stream names.
async fn first_message(remote: &Arc<Remote>, meta: &ObjectMeta, mut start: Bytes) -> Result<SchemaRef> {
    loop {
        match StreamReader::try_new(Cursor::new(&start), None) {
            Ok(reader) => return Ok(reader.schema()),
            Err(error) if is_all(meta, &start) => return Err(error.into()),
            Err(_) => start = more(remote, meta, &start).await?,
        }
    }
}
