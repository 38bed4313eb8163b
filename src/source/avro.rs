//! Avro object container files, block by block.
//!
//! The library's reader of whole files takes a file that was cut between two blocks for a complete one,
//! never looks at the marks between blocks, and does not end when a block claims fewer rows than it has.
//! Here each block is checked and decoded as a file of its own.

use std::io::{BufReader, Cursor, ErrorKind, Read};

use arrow_avro::reader::{ReaderBuilder, read_header_info};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::common::Result;
use datafusion::error::DataFusionError;

const SYNC_BYTES: usize = 16;
/// Rows that one block may claim: far more than writers put into one, far less than would fill memory.
const BLOCK_ROWS_MAX: u64 = 1 << 24;
/// Bytes of a header with its schema.
const HEADER_BYTES_MAX: u64 = 64 << 20;

/// The batches of one file, in order.
pub(super) struct Blocks {
    reader: BufReader<Box<dyn Read + Send>>,
    /// The header as it stands in the file; each block is decoded behind a copy of it.
    header: Vec<u8>,
    /// Bytes of the file that have not been read yet.
    rest: u64,
    is_compressed: bool,
    /// The columns to decode, by place in the file.
    places: Vec<usize>,
    batch_rows: usize,
    /// What has been decoded and not given yet.
    decoded: Option<RecordBatch>,
    failed: bool,
}

impl Blocks {
    /// Reads the header of a file of so many bytes.
    pub(super) fn open(
        mut reader: Box<dyn Read + Send>,
        size: u64,
        places: &[usize],
        batch_rows: usize,
    ) -> Result<Self> {
        let mut start = Vec::new();
        let mut header_bytes = None;
        // The header says its length only at its end, so it is read in growing pieces.
        let mut wanted = 4096.min(size);
        while header_bytes.is_none() {
            reader.by_ref().take(wanted - start.len() as u64).read_to_end(&mut start)?;
            match read_header_info(Cursor::new(&start)) {
                Ok(info) => header_bytes = Some(info),
                Err(error) if wanted >= size.min(HEADER_BYTES_MAX) => {
                    return Err(ArrowError::from(error).into());
                }
                Err(_) => wanted = (wanted * 8).min(size).min(HEADER_BYTES_MAX),
            }
        }
        let Some(info) = header_bytes else { return Err(damaged("it has no header")) };
        let length = usize::try_from(info.header_len()).unwrap_or(usize::MAX);
        if length > start.len() || length < SYNC_BYTES {
            return Err(damaged("its header ends in the middle"));
        }
        let is_compressed = info.compression().map_err(ArrowError::from)?.is_some();
        let blocks = start.split_off(length);
        Ok(Self {
            header: start,
            rest: size.saturating_sub(length as u64),
            is_compressed,
            // A file's rows are counted by some column, wanted or not.
            places: if places.is_empty() { vec![0] } else { places.to_vec() },
            batch_rows: batch_rows.max(1),
            decoded: None,
            failed: false,
            // What was read too far comes first.
            reader: BufReader::new(Box::new(Cursor::new(blocks).chain(reader))),
        })
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.decoded.take() {
                let rows = batch.num_rows().min(self.batch_rows);
                self.decoded = (rows < batch.num_rows()).then(|| batch.slice(rows, batch.num_rows() - rows));
                return Ok(Some(batch.slice(0, rows)));
            }
            let Some((mut rows, mut data)) = self.block()? else { return Ok(None) };
            // Plain blocks are joined: each decoding parses the schema anew.
            while !self.is_compressed && rows < self.batch_rows as u64 {
                let Some((more, bytes)) = self.block()? else { break };
                rows += more;
                data.extend(bytes);
            }
            self.decoded = self.decode(rows, &data)?;
        }
    }

    /// The rows that a block claims, and its bytes.
    fn block(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        if self.rest == 0 {
            return Ok(None);
        }
        let (rows, size) = (self.long()?, self.long()?);
        if rows > BLOCK_ROWS_MAX {
            return Err(damaged("a block claims more rows than it can have"));
        }
        if size.saturating_add(SYNC_BYTES as u64) > self.rest {
            return Err(damaged("it ends in the middle of a block"));
        }
        let mut data = self.bytes(size)?;
        let sync = self.bytes(SYNC_BYTES as u64)?;
        if !self.header.ends_with(&sync) {
            return Err(damaged("a block does not end with the file's mark"));
        }
        data.shrink_to_fit();
        Ok(Some((rows, data)))
    }

    fn bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.by_ref().take(count).read_to_end(&mut bytes)?;
        match bytes.len() as u64 == count {
            true => {
                self.rest = self.rest.saturating_sub(count);
                Ok(bytes)
            }
            false => Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
        }
    }

    /// A number in Avro's form: seven bits a byte, the sign in the lowest bit.
    fn long(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes(1)?.first().copied().unwrap_or_default();
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return match value & 1 {
                    0 => Ok(value >> 1),
                    _ => Err(damaged("a block has a negative length")),
                };
            }
        }
        Err(damaged("a block has a length that is no number"))
    }

    /// Decodes so many rows, which must be all that the bytes hold.
    fn decode(&self, rows: u64, data: &[u8]) -> Result<Option<RecordBatch>> {
        if rows == 0 {
            return if data.is_empty() {
                Ok(None)
            } else {
                Err(damaged("a block has more rows than it claims"))
            };
        }
        let sync = &self.header[self.header.len() - SYNC_BYTES..];
        let mut file = self.header.clone();
        // Twice the rows that there are: bytes that remain after a batch of all of them then make another
        // batch or an error. The reader would never end over bytes that no row is left for.
        push_long(rows * 2, &mut file);
        push_long(data.len() as u64, &mut file);
        file.extend_from_slice(data);
        file.extend_from_slice(sync);
        let claimed = usize::try_from(rows).unwrap_or(usize::MAX);
        let builder = ReaderBuilder::new().with_batch_size(claimed).with_projection(self.places.clone());
        let mut reader = builder.build(Cursor::new(file))?;
        let batch = reader.next().transpose()?;
        match (&batch, reader.next()) {
            (Some(batch), None) if batch.num_rows() == claimed => {}
            _ => return Err(damaged("a block does not have the rows that it claims")),
        }
        Ok(batch)
    }
}

impl Iterator for Blocks {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_batch().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

fn push_long(value: u64, into: &mut Vec<u8>) {
    let mut value = value << 1;
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn damaged(trouble: &str) -> DataFusionError {
    ArrowError::AvroError(trouble.into()).into()
}
