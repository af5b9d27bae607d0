//! The disk that Overdub writes to, where it can be filled, made read-only or frozen: one of its own, in a mount
//! namespace of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::process::Process;

/// Tries to make it read-only: refused while a file is being written.
const TRIES: u32 = 50;

/// What the disk is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory, in a user namespace: anybody may.
    Memory,
    /// An ext4 in a file, which can be frozen: for root only.
    Image,
}

/// `binary`, with a disk of so many megabytes at `storage`; its arguments are yet to be added.
pub fn with_own(kind: Kind, megabytes: u64, storage: &Path, binary: &Path) -> Command {
    let mut command = Command::new("unshare");
    let mount = match kind {
        Kind::Memory => {
            command.args(["--user", "--map-root-user"]);
            format!("mount -t tmpfs -o size={megabytes}m none \"$0\"")
        }
        Kind::Image => format!(
            "truncate -s {megabytes}M \"$0.img\" && mkfs.ext4 -q -F \"$0.img\" && mount -o loop \"$0.img\" \"$0\""
        ),
    };
    command.args(["--mount", "sh", "-c"]).arg(format!("{mount} && exec \"$@\"")).arg(storage).arg(binary);
    command
}

/// A folder of this machine as a process sees it.
pub fn inside(process: &Process, folder: &Path) -> PathBuf {
    process.root().join(folder.strip_prefix("/").unwrap_or(folder))
}

pub async fn read_only(process: &Process, storage: &Path, yes: bool) {
    let how = if yes { "remount,ro" } else { "remount,rw" };
    for _ in 0..TRIES {
        if in_its_namespace(process, Kind::Memory, ["mount", "-o", how], storage).await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the disk of {} is not remounted", process.name);
}

pub async fn frozen(process: &Process, storage: &Path, yes: bool) {
    let how = if yes { "--freeze" } else { "--unfreeze" };
    let done = in_its_namespace(process, Kind::Image, ["fsfreeze", how], storage).await;
    assert!(done, "a disk is frozen by root only, with fsfreeze (Debian: util-linux)");
}

async fn in_its_namespace<const N: usize>(process: &Process, kind: Kind, what: [&str; N], at: &Path) -> bool {
    let id = process.id().expect("it runs").to_string();
    let mut command = Command::new("nsenter");
    if kind == Kind::Memory {
        command.arg("--user");
    }
    command.args(["--mount", "--target", &id]).args(what).arg(at).stderr(Stdio::null());
    command.status().await.expect("nsenter is missing: apt-get install util-linux").success()
}
