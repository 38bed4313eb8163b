//! A bucket that is in another region than was thought.
//!
//! S3 answers a request to the wrong region with 301 or 400, and says the right one in a header or in the text. The
//! store is then made anew for that region, and the request sent once more.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion::object_store::aws::{AmazonS3, AwsCredentialProvider};
use datafusion::object_store::client::{HttpConnector, HttpRequest, HttpRequestBody};
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::options;
use super::strays::{Strays, Swept};
use crate::store::trouble::{Trouble, What, find, region as named, trouble};
use crate::store::wire::Wire;

/// Where a bucket can be asked without a signature in which region it is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) wire: Wire,
    pub(super) address: String,
    /// Who signs; nobody where all is public.
    pub(super) signer: Option<AwsCredentialProvider>,
}

/// Makes the store of a region.
type Make = Box<dyn Fn(&str) -> Result<AmazonS3> + Send + Sync>;

/// A bucket in the region that was last found to be right.
pub(super) struct InRegion(Arc<Inner>);

struct Inner {
    place: Place,
    make: Make,
    current: RwLock<(String, Arc<AmazonS3>)>,
}

impl InRegion {
    pub(super) fn new(place: Place, region: &str, make: Make) -> Result<Self> {
        let store = Arc::new(make(region)?);
        Ok(Self(Arc::new(Inner { place, make, current: RwLock::new((region.to_string(), store)) })))
    }

    async fn on<T>(&self, work: impl Fn(Arc<AmazonS3>) -> BoxFuture<'static, Result<T>> + Send) -> Result<T> {
        match work(self.0.store()).await {
            Err(error) => match self.0.moved(&error).await {
                Some(store) => work(store).await,
                None => Err(error),
            },
            done => done,
        }
    }
}

impl Inner {
    fn store(&self) -> Arc<AmazonS3> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Where to look for uploads that nobody knows.
    fn strays(&self, key: &Path) -> Option<Strays> {
        let Place { wire, address, signer } = &self.place;
        let (region, store) = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Only in its own region a bucket tells.
        let address = match address.strip_prefix("https://s3.amazonaws.com/") {
            Some(bucket) => format!("https://s3.{region}.amazonaws.com/{bucket}"),
            None => address.clone(),
        };
        let (wire, signer, key) = (wire.clone(), signer.clone()?, key.clone());
        Some(Strays { wire, address, region, signer, store, key })
    }

    /// The store of the right region, if an error says that ours is the wrong one.
    async fn moved(&self, error: &Error) -> Option<Arc<AmazonS3>> {
        let What::Answer(answer) = trouble(error)?.what else { return None };
        if !matches!(answer.status, 301 | 307 | 400) {
            return None;
        }
        let code = answer.code.as_deref();
        let region = match answer.region {
            Some(region) => region,
            // Other answers of these kinds have nothing to do with regions.
            None if answer.status == 400
                && code.is_some_and(|code| code != "AuthorizationHeaderMalformed") =>
            {
                return None;
            }
            None => self.asked().await?,
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.0 != region {
            let store = Arc::new((self.make)(&region).ok()?);
            *current = (region, store);
        }
        Some(Arc::clone(&current.1))
    }

    /// Asks the bucket. The answer is mostly a refusal, since nobody signs; the region is in its header all the same.
    async fn asked(&self) -> Option<String> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = "HEAD".try_into().ok()?;
        *request.uri_mut() = self.place.address.parse().ok()?;
        let client = self.place.wire.connect(&options(Some(&self.place.address))).ok()?;
        match client.execute(request).await {
            Ok(response) => named(response.headers().get("x-amz-bucket-region")?.to_str().ok()?),
            Err(error) => match &find::<Trouble>(&error)?.what {
                What::Answer(answer) => answer.region.clone(),
                What::Connect(_) | What::Silent(_) | What::Broken(_) => None,
            },
        }
    }
}

impl fmt::Display for InRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.store(), f)
    }
}

impl fmt::Debug for InRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InRegion").field("address", &self.0.place.address).finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for InRegion {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let key = key.clone();
        self.on(move |store| {
            let (key, payload, options) = (key.clone(), payload.clone(), options.clone());
            async move { store.put_opts(&key, payload, options).await }.boxed()
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let (line, own) = (&self.0.place.wire.0, key.clone());
        let lost = line.lost_begins.load(Ordering::SeqCst);
        let begun = self.on(move |store| {
            let (key, options) = (own.clone(), options.clone());
            async move { store.put_multipart_opts(&key, options).await }.boxed()
        });
        let begun = begun.await;
        if line.lost_begins.load(Ordering::SeqCst) == lost {
            return begun;
        }
        match (begun, self.0.strays(key)) {
            (Ok(upload), Some(strays)) => Ok(Box::new(Swept { upload, strays })),
            (Err(error), Some(strays)) => {
                strays.sweep().await;
                Err(error)
            }
            (begun, None) => begun,
        }
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let key = key.clone();
        self.on(move |store| {
            let (key, options) = (key.clone(), options.clone());
            async move { store.get_opts(&key, options).await }.boxed()
        })
        .await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // One after the other, so that each can be sent again; `remote` has many under way.
        let this = Self(Arc::clone(&self.0));
        keys.then(move |key| {
            let this = Self(Arc::clone(&this.0));
            async move {
                let key = key?;
                this.on(|store| {
                    let one = stream::once(futures::future::ready(Ok(key.clone()))).boxed();
                    async move { store.delete_stream(one).try_collect::<Vec<_>>().await }.boxed()
                })
                .await?;
                Ok(key)
            }
        })
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.listed(move |store| store.list(prefix.as_ref()))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.listed(move |store| store.list_with_offset(prefix.as_ref(), &offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned();
        self.on(move |store| {
            let prefix = prefix.clone();
            async move { store.list_with_delimiter(prefix.as_ref()).await }.boxed()
        })
        .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.on(move |store| {
            let (from, to, options) = (from.clone(), to.clone(), options.clone());
            async move { store.copy_opts(&from, &to, options).await }.boxed()
        })
        .await
    }
}

impl InRegion {
    /// Lists; whether the region is right is seen at the first page.
    fn listed(
        &self,
        list: impl Fn(&AmazonS3) -> BoxStream<'static, Result<ObjectMeta>> + Send + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let inner = Arc::clone(&self.0);
        let items = async move {
            // Fused: of an empty list the end is seen here already.
            let mut items = list(&inner.store()).fuse();
            let first = match items.next().await {
                Some(Err(error)) => match inner.moved(&error).await {
                    Some(store) => {
                        items = list(&store).fuse();
                        items.next().await
                    }
                    None => Some(Err(error)),
                },
                first => first,
            };
            stream::iter(first).chain(items)
        };
        items.flatten_stream().boxed()
    }
}
