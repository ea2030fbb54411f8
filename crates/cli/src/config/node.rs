//! The name that a hub has if none is configured.

use std::sync::OnceLock;

use tidings_server::NodeName;

/// The machine's name and letters at random, the same for as long as the process is there.
pub(super) fn default() -> NodeName {
    static NAME: OnceLock<NodeName> = OnceLock::new();
    let of_machine = || NodeName::on(&rustix::system::uname().nodename().to_string_lossy());
    NAME.get_or_init(of_machine).clone()
}
