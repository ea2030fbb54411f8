//! Topics, history, and subscribers that are cursors in it: an embeddable Server-Sent Events hub.
