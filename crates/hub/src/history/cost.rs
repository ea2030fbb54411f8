//! The memory that collections take beside their content.

/// Bytes that an entry of a B-tree costs.
///
/// The standard library's nodes have room for 11 entries. A tree that grows at its end leaves 6 in each,
/// and one above them; trees that grow everywhere are fuller.
pub(super) const fn tree_entry_bytes<T>() -> usize {
    const ROOM: usize = 11;
    const EACH: usize = 7;
    const HEAD_BYTES: usize = 16;
    let leaf = ROOM * size_of::<T>() + HEAD_BYTES;
    let inner = leaf + (ROOM + 1) * size_of::<usize>();
    leaf.div_ceil(EACH) + inner.div_ceil(EACH * EACH)
}
