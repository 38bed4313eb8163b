//! Servers that tests read from and write to, all on loopback ports that the system chooses.
//!
//! S3 and HDFS are real servers in processes of their own (`tests/servers.sh`), one of each for all tests of this
//! process, started when a test first asks for it. They end when their standard input does: with this process, in
//! whatever way it ends. Web servers and the proxy that makes trouble run on threads of this process.

mod hdfs;
mod http;
mod message;
mod process;
mod proxy;
mod s3;
#[cfg(test)]
mod tests;

pub(crate) use hdfs::{DATANODES, Hdfs, Trouble};
pub(crate) use http::{Http, Ranges};
pub(crate) use proxy::{Fault, Plan, Proxy};
pub(crate) use s3::{Keys, S3};
