//! What is right: what was published, who must receive it, and why connections failed.

pub(crate) mod causes;
pub(crate) mod data;
pub(crate) mod ledger;
