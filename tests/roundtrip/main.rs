//! The round trip over real sockets: against our own echo, processors of other makes, and a hostile one.

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/install.rs"]
mod install;
#[path = "../support/processors.rs"]
mod processors;

mod echo;
mod floods;
mod guide;
mod harness;
mod hostile;
mod others;
mod secure;
