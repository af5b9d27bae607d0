//! The process's environment, and below it a file of the same form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::config::Invalid;

/// What `.env` says; it is not put into the process's environment, which other threads may be reading.
static FILE: OnceLock<BTreeMap<String, String>> = OnceLock::new();

/// Reads `.env` of the working directory, or the file that `OVERDUB_ENV_FILE` names, which must be there then.
///
/// # Errors
///
/// Where it cannot be read, or which line is no assignment.
pub(super) fn read_file() -> Result<(), Invalid> {
    let named = std::env::var_os("OVERDUB_ENV_FILE").filter(|name| !name.is_empty()).map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| ".env".into());
    if named.is_none() && !path.is_file() {
        return Ok(());
    }
    let _ = FILE.set(read(&path)?);
    Ok(())
}

/// A variable that is set and not empty; the process's own goes before the file's.
pub(super) fn variable(name: &str) -> Option<String> {
    let set = |value: &String| !value.is_empty();
    std::env::var(name).ok().filter(set).or_else(|| FILE.get()?.get(name).cloned().filter(set))
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, Invalid> {
    let wrong = |reason: String| Invalid::new(path.display().to_string(), reason);
    let entries = dotenvy::from_path_iter(path).map_err(|error| wrong(error.to_string()))?;
    let mut variables = BTreeMap::new();
    for (number, entry) in entries.enumerate() {
        // What is wrong with a line is said without the line: it may hold a key.
        let (name, value) =
            entry.map_err(|_| wrong(format!("assignment {} is not NAME=value", number + 1)))?;
        variables.insert(name, value);
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_assignments_is_read_and_what_is_wrong_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, "# comment\nPORT=3001\nexport SOURCE_URL=\"http://h/a?b=1\"\nEMPTY=\n")
            .unwrap();
        let read_back = read(&path).unwrap();
        assert_eq!(read_back["PORT"], "3001");
        assert_eq!(read_back["SOURCE_URL"], "http://h/a?b=1");
        std::fs::write(&path, "PORT=1\nsecret token\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("assignment 2") && !error.contains("secret"), "{error}");
        assert!(read(&folder.path().join("none")).is_err());
    }
}
