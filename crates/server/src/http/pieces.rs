//! Bodies of answers that are written piece by piece, as their clients take them.
//!
//! A whole body would be in memory for as long as its client takes nothing, and each request would
//! have its own. Here a [`PieceSource`] is asked for the next piece when the one before is taken,
//! and the bytes that are held meanwhile count in the [`Budget`].

use std::fmt;
use std::future::poll_fn;
use std::mem::take;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::budget::{Budget, Claim, OverBudget, SMALL_BYTES_MAX, Share};
use crate::http::problem::Problem;

/// The size of a piece, more or less: a source ends a piece when it has as many bytes.
pub(crate) const PIECE_BYTES: usize = 16 * 1024;

/// The bytes counted for an answer of several pieces: one that its connection holds, one that is
/// being written, and the place of the source.
const HELD_BYTES: usize = SMALL_BYTES_MAX;

/// Answers up to this size are not counted: a request that waits holds as much.
const UNCOUNTED_BYTES_MAX: usize = 4 * 1024;

/// The most bytes that are handed over at once of a body that is in memory as a whole.
const WHOLE_PIECE_BYTES_MAX: usize = 64 * 1024;

/// Writes a body, a piece at a time.
pub(crate) trait PieceSource: Send {
    /// Appends to `out` until it has about [`PIECE_BYTES`] bytes or the body ends.
    ///
    /// Pending if others are to have their turn or something is awaited: `out` is kept, and the
    /// next call goes on.
    fn poll_piece(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Piece>;

    /// The bytes that the source itself holds, beside a place.
    fn bytes(&self) -> usize {
        0
    }
}

/// Whether another piece follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Another one follows. This one is not empty.
    More,
    /// It was the last.
    Last,
}

/// The body of an answer that is written as its client takes it.
///
/// Only the hub's own routes make such answers.
pub struct AnswerPieces {
    /// The bytes that are handed over next.
    ready: Bytes,
    rest: Option<Box<Rest>>,
}

/// The part of a body that is not written yet.
struct Rest {
    source: Box<dyn PieceSource>,
    /// The next piece, as far as it is written.
    next: Vec<u8>,
    share: Share,
}

/// The bytes of a last piece, which count until nothing holds them.
struct Counted<B> {
    bytes: B,
    _share: Share,
}

impl AnswerPieces {
    /// A body that is in memory as a whole.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { ready: bytes, rest: None }
    }

    /// A body that is in memory as a whole for this answer alone, and counts whether or not there is room:
    /// the events that it reports are published. Small ones, and assets of the program, do not count.
    pub(crate) fn reported(budget: &Arc<Budget>, bytes: Bytes) -> Result<Self, Bytes> {
        if bytes.len() <= UNCOUNTED_BYTES_MAX || !bytes.is_unique() {
            return Err(bytes);
        }
        let mut share = budget.share(Claim::Answer);
        share.set_anyway(bytes.len());
        Ok(Self::whole(counted(bytes, share)))
    }

    /// Waits for the first piece of a body.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if the budget has no room for the answer.
    pub(crate) async fn begin(
        budget: &Arc<Budget>,
        mut source: impl PieceSource + 'static,
    ) -> Result<Self, Problem> {
        let mut first = Vec::new();
        let piece = poll_fn(|cx| source.poll_piece(cx, &mut first)).await;
        if piece == Piece::Last && first.len() <= UNCOUNTED_BYTES_MAX {
            return Ok(Self::whole(first.into()));
        }
        let (claim, bytes) = match piece {
            Piece::Last => (Claim::Answer, first.len()),
            Piece::More => (Claim::Large, HELD_BYTES + source.bytes()),
        };
        let mut share = budget.share(claim);
        share.set(bytes).map_err(|OverBudget| Problem::too_many_bytes())?;
        Ok(match piece {
            Piece::Last => Self::whole(counted(first, share)),
            Piece::More => {
                let rest = Rest { source: Box::new(source), next: Vec::new(), share };
                Self { ready: first.into(), rest: Some(Box::new(rest)) }
            }
        })
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ready.is_empty()
            && let Some(rest) = &mut self.rest
        {
            match ready!(rest.source.poll_piece(cx, &mut rest.next)) {
                Piece::More => self.ready = take(&mut rest.next).into(),
                Piece::Last => {
                    if let Some(rest) = self.rest.take() {
                        self.ready = counted(rest.next, rest.share);
                    }
                }
            }
        }
        let piece = self.ready.split_to(self.ready.len().min(WHOLE_PIECE_BYTES_MAX));
        Poll::Ready((!piece.is_empty()).then_some(piece))
    }

    /// Returns whether everything has been handed over.
    pub(crate) fn is_over(&self) -> bool {
        self.ready.is_empty() && self.rest.is_none()
    }

    /// The number of bytes that are still to come, if it is known.
    pub(crate) fn exact_len(&self) -> Option<usize> {
        self.rest.is_none().then_some(self.ready.len())
    }

    /// The body, if it is so small that it is not counted.
    pub(crate) fn into_uncounted(self) -> Result<Bytes, Self> {
        if self.ready.len() > UNCOUNTED_BYTES_MAX { Err(self) } else { self.into_whole() }
    }

    /// The body, if it is in memory as a whole.
    pub(crate) fn into_whole(self) -> Result<Bytes, Self> {
        match self.rest {
            None => Ok(self.ready),
            Some(_) => Err(self),
        }
    }
}

fn counted(bytes: impl AsRef<[u8]> + Send + 'static, share: Share) -> Bytes {
    Bytes::from_owner(Counted { bytes, _share: share })
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Counted<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl fmt::Debug for AnswerPieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerPieces").field("exact_len", &self.exact_len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Writes pieces of these sizes, with a wait in the middle of each.
    struct Sizes {
        sizes: Vec<usize>,
        has_waited: bool,
    }

    impl PieceSource for Sizes {
        fn poll_piece(&mut self, _: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Piece> {
            let size = *self.sizes.first().unwrap_or(&0);
            out.resize(out.len() + size / 2, b'x');
            self.has_waited = !self.has_waited;
            if self.has_waited {
                return Poll::Pending;
            }
            out.resize(size, b'x');
            self.sizes.remove(0);
            Poll::Ready(if self.sizes.is_empty() { Piece::Last } else { Piece::More })
        }
    }

    fn begin(budget: &Arc<Budget>, sizes: &[usize]) -> Result<AnswerPieces, Problem> {
        let source = Sizes { sizes: sizes.to_vec(), has_waited: false };
        let mut begin = std::pin::pin!(AnswerPieces::begin(budget, source));
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(begun) = Future::poll(begin.as_mut(), &mut cx) {
                return begun;
            }
        }
    }

    fn next(pieces: &mut AnswerPieces) -> Option<Bytes> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(piece) = pieces.poll_next(&mut cx) {
                return piece;
            }
        }
    }

    #[test]
    fn an_answer_counts_until_its_last_piece_is_let_go() {
        let budget = Budget::new(1 << 20);
        let mut pieces = begin(&budget, &[PIECE_BYTES, PIECE_BYTES, 100]).unwrap();
        assert_eq!((pieces.exact_len(), budget.held()), (None, HELD_BYTES));
        for size in [PIECE_BYTES, PIECE_BYTES] {
            assert_eq!(next(&mut pieces).unwrap().len(), size);
            assert!(!pieces.is_over());
        }
        let last = next(&mut pieces).unwrap();
        assert!(pieces.is_over() && last.len() == 100);
        assert_eq!(next(&mut pieces), None);
        drop(pieces);
        assert_eq!(budget.held(), HELD_BYTES);
        drop(last);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn a_small_answer_is_not_counted_and_one_of_one_piece_by_its_size() {
        let budget = Budget::new(1 << 20);
        let small = begin(&budget, &[UNCOUNTED_BYTES_MAX]).unwrap();
        assert_eq!((small.exact_len(), budget.held()), (Some(UNCOUNTED_BYTES_MAX), 0));
        let one = begin(&budget, &[PIECE_BYTES]).unwrap().into_whole().unwrap();
        assert_eq!((one.len(), budget.held()), (PIECE_BYTES, PIECE_BYTES));
        drop(one);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn an_answer_for_which_there_is_no_room_is_refused() {
        let budget = Budget::new(2 * HELD_BYTES);
        let first = begin(&budget, &[PIECE_BYTES, 1]).unwrap();
        assert!(begin(&budget, &[PIECE_BYTES, 1]).is_err());
        assert!(begin(&budget, &[PIECE_BYTES]).is_ok());
        drop(first);
        assert!(begin(&budget, &[PIECE_BYTES, 1]).is_ok());
    }

    #[test]
    fn a_whole_body_is_handed_over_in_parts() {
        let mut whole = AnswerPieces::whole(Bytes::from(vec![b'x'; 100_000]));
        let sizes = std::iter::from_fn(|| next(&mut whole)).map(|piece| piece.len());
        assert_eq!(sizes.collect::<Vec<_>>(), [65_536, 34_464]);
        assert!(whole.is_over());
    }
}
