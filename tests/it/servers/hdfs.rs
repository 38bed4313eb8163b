//! The HDFS server.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use super::process::Process;

/// DataNodes, and copies of each block.
pub(crate) const DATANODES: usize = 2;

/// Two NameNodes, of which one is active, and two DataNodes.
pub(crate) struct Hdfs {
    /// `127.0.0.1:PORT` of each NameNode.
    pub(crate) namenodes: [String; 2],
    /// Goes with the server.
    room: PathBuf,
    process: Mutex<Process>,
    trouble: RwLock<()>,
}

impl Hdfs {
    /// The one server of this process. Tests do not get into each other's way with a folder of their own each.
    pub(crate) fn get() -> &'static Self {
        static SERVER: OnceLock<Hdfs> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        let (process, told) = Process::start(&["hdfs", room.to_str().unwrap(), &DATANODES.to_string()]);
        let mut namenodes = told.into_iter().map(|(_, address)| address);
        let mut next = || namenodes.next().unwrap();
        let namenodes = [next(), next()];
        Self { namenodes, room, process: Mutex::new(process), trouble: RwLock::default() }
    }

    /// `hdfs://127.0.0.1:PORT` of the NameNode that is active unless a test made it otherwise.
    pub(crate) fn url(&self) -> String {
        format!("hdfs://{}", self.namenodes[0])
    }

    /// A folder of settings (`HADOOP_CONF_DIR`) in which `hdfs://<name>` is both NameNodes, the standby first.
    pub(crate) fn settings(&self, name: &str) -> PathBuf {
        let folder = self.room.join(format!("conf-{name}"));
        fs::create_dir_all(&folder).unwrap();
        let property = |name: String, value: &str| {
            format!("<property><name>{name}</name><value>{value}</value></property>")
        };
        let properties = [
            property("dfs.nameservices".into(), name),
            property(format!("dfs.ha.namenodes.{name}"), "second,first"),
            property(format!("dfs.namenode.rpc-address.{name}.first"), &self.namenodes[0]),
            property(format!("dfs.namenode.rpc-address.{name}.second"), &self.namenodes[1]),
        ];
        let text =
            format!("<?xml version=\"1.0\"?>\n<configuration>{}</configuration>\n", properties.concat());
        fs::write(folder.join("hdfs-site.xml"), text).unwrap();
        folder
    }

    /// Copies of blocks that are being written, or were when their writer went away, on the disks of the DataNodes: how
    /// many bytes each has.
    pub(crate) fn growing(&self) -> BTreeMap<PathBuf, u64> {
        let found = glob::glob(&format!("{}/data/**/rbw/blk_*", self.room.display())).unwrap();
        let copies = found.filter_map(Result::ok).filter(|path| path.extension().is_none());
        copies.filter_map(|path| Some((path.clone(), fs::metadata(path).ok()?.len()))).collect()
    }

    /// For tests that want the server whole: nobody breaks anything as long as this is held.
    pub(crate) fn calm(&self) -> RwLockReadGuard<'_, ()> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For tests that break something: one at a time, and whole again after it.
    pub(crate) fn trouble(&self) -> Trouble<'_> {
        let turn = self.trouble.write().unwrap_or_else(PoisonError::into_inner);
        Trouble { server: self, _turn: turn }
    }

    fn command(&self, command: &str) -> Result<(), String> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).command(command)
    }
}

/// The right to break something.
pub(crate) struct Trouble<'a> {
    server: &'a Hdfs,
    _turn: RwLockWriteGuard<'a, ()>,
}

impl Trouble<'_> {
    /// Takes a DataNode away, with all its connections.
    pub(crate) fn stop_datanode(&self, number: usize) {
        self.server.command(&format!("stop {number}")).unwrap();
    }

    /// Brings back the DataNodes that were taken away.
    pub(crate) fn start_datanodes(&self) {
        self.server.command("start").unwrap();
    }

    /// Changes a byte in the middle of a DataNode's copy of a file's first block.
    pub(crate) fn spoil(&self, datanode: usize, path: &str) {
        self.server.command(&format!("spoil {datanode} {path}")).unwrap();
    }

    /// Makes the standby NameNode the active one, and the other way round.
    pub(crate) fn fail_over(&self) {
        self.server.command("failover").unwrap();
    }
}

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        let healed = self.server.command("heal");
        // The test that fails is the one to be told; another panic would end all of them.
        if !thread::panicking() {
            healed.unwrap();
        }
    }
}
