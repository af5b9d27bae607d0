//! What is written beside the path (DESIGN section 7).
//!
//! The live path hands its `Bytes` to a [`Writer`] and goes on; a full, slow or broken disk costs artifacts,
//! never output. Files appear whole: they are written under a temporary name and renamed.

mod disk;
mod index;
mod layout;
mod numbers;
mod write;
mod writer;

pub use disk::{Cleaned, Disk};
pub use index::Usage;
pub use layout::{Artifact, Layout};
pub use numbers::Numbers;
pub use writer::{Stats, Writer};
