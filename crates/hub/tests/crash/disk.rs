//! A simulated disk that records all operations and derives what a crash at any moment could leave.
//!
//! Synced data survives. Of unsynced operations, any subset survives: each sector of a write, each change
//! of a length, each change of a name.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tidings_hub::journal::disk::{Access, Storage, StorageFile, StorageLock};

/// A folder on the simulated disk. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk {
    shared: Arc<Mutex<Shared>>,
    /// Locked during a sync.
    syncing: Arc<Mutex<()>>,
}

#[derive(Default)]
struct Shared {
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
    done: Vec<Done>,
    /// The number of operations that made the initial files.
    made: usize,
    faults: Faults,
    is_locked: bool,
    /// Bytes that were read.
    read: usize,
}

/// Failures to inject.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Capacity of the disk in bytes.
    pub(crate) bytes_max: Option<usize>,
    /// Makes the folder read-only.
    pub(crate) is_read_only: bool,
    /// Number of syncs until they fail.
    pub(crate) syncs_left: Option<usize>,
    /// Number of writes until they fail.
    pub(crate) writes_left: Option<usize>,
    /// Number of reads and looks at sizes until the next file that is longer is cut off, and where.
    pub(crate) cut: Option<(usize, usize)>,
}

/// An operation on the disk.
#[derive(Clone)]
enum Done {
    Create { file: usize, name: String },
    Write { file: usize, bytes: Vec<u8>, at: usize },
    Truncate { file: usize, size: usize },
    Sync { file: usize },
    Rename { from: String, to: String },
    Remove { name: String },
    SyncFolder,
}

/// Size of a sector, which the disk writes completely or not at all.
const SECTOR_BYTES: usize = 512;

impl SimulatedDisk {
    /// Makes a disk with these files, synced.
    pub(crate) fn with_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let disk = Self::default();
        {
            let mut shared = disk.shared.lock();
            for (name, bytes) in files {
                let file = shared.files.len();
                shared.done.extend([
                    Done::Create { file, name: name.clone() },
                    Done::Write { file, bytes: bytes.clone(), at: 0 },
                    Done::Sync { file },
                ]);
                shared.files.push(bytes);
                shared.names.insert(name, file);
            }
            shared.done.push(Done::SyncFolder);
            shared.made = shared.done.len();
        }
        disk
    }

    /// Returns the files as the running program sees them.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let shared = self.shared.lock();
        shared
            .names
            .iter()
            .map(|(name, file)| (name.clone(), shared.files[*file].clone()))
            .collect()
    }

    /// Returns the number of operations so far.
    pub(crate) fn done(&self) -> usize {
        self.shared.lock().done.len()
    }

    /// Holds back every sync until the guard is dropped.
    pub(crate) fn hold_syncs(&self) -> MutexGuard<'_, ()> {
        self.syncing.lock()
    }

    /// Returns how often a file of a name was created.
    pub(crate) fn created(&self, name: &str) -> usize {
        let shared = self.shared.lock();
        let is_it =
            |done: &&Done| matches!(done, Done::Create { name: other, .. } if other == name);
        shared.done.iter().filter(is_it).count()
    }

    /// Returns how many bytes were read since the last call.
    pub(crate) fn take_read(&self) -> usize {
        std::mem::take(&mut self.shared.lock().read)
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// Returns a random image of a crash after a number of operations. The initial files are intact.
    pub(crate) fn crash(&self, done: usize, random: &mut fastrand::Rng) -> Self {
        let done: Vec<Done> = {
            let shared = self.shared.lock();
            shared.done[..done.max(shared.made)].to_vec()
        };
        // Some crashes lose all unsynced operations, some none, and some a random part.
        let keeps = [0.0, 0.2, 0.5, 0.8, 1.0][random.usize(..5)];
        let mut crashed = Crashed { files: Vec::new(), names: BTreeMap::new(), keeps, random };
        let mut unsynced: BTreeMap<usize, Vec<&Done>> = BTreeMap::new();
        let mut unsynced_folder: Vec<&Done> = Vec::new();
        for done in &done {
            match done {
                Done::Write { file, .. } | Done::Truncate { file, .. } => {
                    unsynced.entry(*file).or_default().push(done);
                }
                Done::Sync { file } => {
                    let pending = unsynced.remove(file).unwrap_or_default();
                    pending.into_iter().for_each(|done| crashed.apply(done));
                }
                Done::SyncFolder => {
                    unsynced_folder.drain(..).for_each(|done| crashed.apply(done));
                }
                Done::Create { .. } | Done::Rename { .. } | Done::Remove { .. } => {
                    unsynced_folder.push(done);
                }
            }
        }
        unsynced.into_values().flatten().for_each(|done| crashed.apply_in_part(done));
        unsynced_folder.into_iter().for_each(|done| crashed.apply_in_part(done));
        let Crashed { mut files, names, .. } = crashed;
        let file = |(name, file): (String, usize)| {
            (name, files.get_mut(file).map(std::mem::take).unwrap_or_default())
        };
        Self::with_files(names.into_iter().map(file))
    }
}

struct Crashed<'a> {
    files: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
    keeps: f64,
    random: &'a mut fastrand::Rng,
}

impl Crashed<'_> {
    fn file(&mut self, file: usize) -> &mut Vec<u8> {
        if self.files.len() <= file {
            self.files.resize(file + 1, Vec::new());
        }
        &mut self.files[file]
    }

    fn apply(&mut self, done: &Done) {
        match done {
            Done::Create { file, name } => drop(self.names.insert(name.clone(), *file)),
            Done::Write { file, bytes, at } => put(self.file(*file), bytes, *at),
            Done::Truncate { file, size } => self.file(*file).truncate(*size),
            Done::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Done::Remove { name } => drop(self.names.remove(name)),
            Done::Sync { .. } | Done::SyncFolder => {}
        }
    }

    fn apply_in_part(&mut self, done: &Done) {
        let Done::Write { file, bytes, at } = done else {
            if self.random.f64() < self.keeps {
                self.apply(done);
            }
            return;
        };
        let mut start = 0;
        while start < bytes.len() {
            // Up to the end of the sector on the disk.
            let end = (SECTOR_BYTES - (at + start) % SECTOR_BYTES + start).min(bytes.len());
            if self.random.f64() < self.keeps {
                put(self.file(*file), &bytes[start..end], at + start);
            } else if self.random.f64() < self.keeps {
                // The length has changed, but the data is missing.
                put(self.file(*file), &vec![0; end - start], at + start);
            }
            start = end;
        }
    }
}

fn put(file: &mut Vec<u8>, bytes: &[u8], at: usize) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Shared {
    fn writable(&self) -> io::Result<()> {
        if self.faults.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }
}

impl Storage for SimulatedDisk {
    fn create_folder(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> io::Result<Option<Box<dyn StorageLock>>> {
        let mut shared = self.shared.lock();
        shared.writable()?;
        if std::mem::replace(&mut shared.is_locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Lock { disk: self.clone() })))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.shared.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        let mut shared = self.shared.lock();
        let file = match (access, shared.names.get(name)) {
            (Access::Read, Some(file)) => *file,
            (Access::Write, Some(file)) => {
                shared.writable()?;
                *file
            }
            (Access::Read | Access::Write, None) => return Err(io::ErrorKind::NotFound.into()),
            // Open handles of a replaced file keep the old one.
            (Access::Create, _) => {
                shared.writable()?;
                let file = shared.files.len();
                shared.files.push(Vec::new());
                shared.names.insert(name.into(), file);
                shared.done.push(Done::Create { file, name: name.into() });
                file
            }
        };
        Ok(Arc::new(File { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut shared = self.shared.lock();
        shared.writable()?;
        let file = shared.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        shared.names.insert(to.into(), file);
        shared.done.push(Done::Rename { from: from.into(), to: to.into() });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut shared = self.shared.lock();
        shared.writable()?;
        shared.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        shared.done.push(Done::Remove { name: name.into() });
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.shared.lock().done.push(Done::SyncFolder);
        Ok(())
    }
}

struct Lock {
    disk: SimulatedDisk,
}

impl StorageLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.shared.lock().is_locked = false;
    }
}

struct File {
    disk: SimulatedDisk,
    file: usize,
}

impl File {
    /// Cuts the file off after a read or a look at its size, as another user of the file does.
    fn cut(&self, shared: &mut Shared) {
        let Some((calls, size)) = &mut shared.faults.cut else { return };
        match calls.checked_sub(1) {
            Some(left) => *calls = left,
            None if shared.files[self.file].len() > *size => {
                shared.files[self.file].truncate(*size);
                shared.faults.cut = None;
            }
            None => {}
        }
    }
}

impl StorageFile for File {
    fn size(&self) -> io::Result<u64> {
        let mut shared = self.disk.shared.lock();
        let size = shared.files[self.file].len();
        self.cut(&mut shared);
        Ok(size as u64)
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let mut shared = self.disk.shared.lock();
        shared.read += bytes.len();
        let file = &shared.files[self.file];
        let range = at as usize..at as usize + bytes.len();
        bytes.copy_from_slice(file.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
        self.cut(&mut shared);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut shared = self.disk.shared.lock();
        shared.writable()?;
        if let Some(left) = &mut shared.faults.writes_left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("no write works"))?;
        }
        let at = at as usize;
        let used: usize = shared.names.values().map(|file| shared.files[*file].len()).sum();
        let grows = (at + bytes.len()).saturating_sub(shared.files[self.file].len());
        let room = shared.faults.bytes_max.map_or(grows, |max| max.saturating_sub(used).min(grows));
        // The part that fits is written.
        let written = &bytes[..bytes.len() - (grows - room)];
        put(&mut shared.files[self.file], written, at);
        shared.done.push(Done::Write { file: self.file, bytes: written.into(), at });
        if room < grows { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        {
            let mut shared = self.disk.shared.lock();
            shared.writable()?;
            shared.files[self.file].truncate(size as usize);
            shared.done.push(Done::Truncate { file: self.file, size: size as usize });
        }
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        let _held = self.disk.syncing.lock();
        let mut shared = self.disk.shared.lock();
        if let Some(left) = &mut shared.faults.syncs_left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("no sync works"))?;
        }
        shared.done.push(Done::Sync { file: self.file });
        Ok(())
    }
}
