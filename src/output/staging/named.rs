//! A store whose files get another extension than the engine gives them: to it, TSV is CSV.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Writes `x.csv` as `x.tsv`, `x.csv.gz` as `x.tsv.gz`.
#[derive(Debug)]
pub struct TsvNames(pub Arc<dyn ObjectStore>);

/// The key that a file is to have.
fn renamed(key: &Path) -> Path {
    let mut parts: Vec<_> = key.parts().map(|part| part.as_ref().to_string()).collect();
    if let Some(name) = parts.last_mut()
        && let Some((stem, rest)) = name.split_once(".csv")
    {
        *name = format!("{stem}.tsv{rest}");
    }
    // The parts are encoded already.
    Path::parse(parts.join("/")).unwrap_or_else(|_| key.clone())
}

impl fmt::Display for TsvNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[async_trait]
impl ObjectStore for TsvNames {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(&renamed(key), payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(&renamed(key), options).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(&renamed(key), options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_changes() {
        for (from, to) in
            [("a.csv/k=1/x.csv", "a.csv/k=1/x.tsv"), ("x.csv.gz", "x.tsv.gz"), ("k=a%20b/y", "k=a%20b/y")]
        {
            assert_eq!(renamed(&Path::parse(from).unwrap()).as_ref(), to);
        }
    }
}
