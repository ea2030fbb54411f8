//! The head of a journal: its identity and its epoch.

use std::io;

use super::bytes::{Found, Identity, Input, Preamble, VERSION_COPY};
use super::storage::{Access, Storage};
use crate::cursor::Epoch;

/// The name of the file.
pub(super) const NAME: &str = "journal";
/// The name under which a new head is written before it replaces the old one.
const NAME_NEW: &str = "journal.new";
const PREAMBLE: Preamble = Preamble { magic: *b"TIDINGSJ" };
const BYTES: usize = Preamble::BYTES + 24;

/// The contents of the head.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) identity: Identity,
    pub(super) epoch: Epoch,
    /// Whether the journal is a copy of another store, whose epoch it has.
    pub(super) is_copy: bool,
}

/// The result of reading the head.
pub(super) enum HeadFound {
    Nothing,
    Sound(Head),
    Newer(u32),
    Unsound,
}

impl Head {
    pub(super) fn random() -> Self {
        Self { identity: Identity::random(), epoch: Epoch::random(), is_copy: false }
    }

    pub(super) fn of_copy(epoch: Epoch) -> Self {
        Self { identity: Identity::random(), epoch, is_copy: true }
    }

    pub(super) fn read(storage: &dyn Storage) -> io::Result<HeadFound> {
        let file = match storage.open(NAME, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HeadFound::Nothing),
            Err(error) => return Err(error),
        };
        // A newer version may be longer, and its checksum includes all of it.
        let size = usize::try_from(file.size()?).unwrap_or(usize::MAX).min(4096);
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(match PREAMBLE.find(&bytes) {
            Found::Sound => Self::parse(&bytes).map_or(HeadFound::Unsound, HeadFound::Sound),
            Found::Newer(version) => HeadFound::Newer(version),
            Found::Unsound => HeadFound::Unsound,
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let is_copy = Input(bytes.get(8..)?).u32()? == VERSION_COPY;
        let mut input = Input(bytes.get(Preamble::BYTES..BYTES)?);
        let identity = Identity(input.take(16)?.try_into().ok()?);
        Some(Self { identity, epoch: Epoch::new(input.u64()?)?, is_copy })
    }

    /// Replaces the head atomically.
    pub(super) fn write(&self, storage: &dyn Storage) -> io::Result<()> {
        let mut bytes = match self.is_copy {
            true => PREAMBLE.begin_as(VERSION_COPY),
            false => PREAMBLE.begin(),
        };
        bytes.extend_from_slice(&self.identity.0);
        bytes.extend_from_slice(&self.epoch.get().to_le_bytes());
        let file = storage.open(NAME_NEW, Access::Create)?;
        file.write_all_at(&Preamble::close(bytes), 0)?;
        file.sync()?;
        storage.rename(NAME_NEW, NAME)?;
        storage.sync_folder()
    }
}
