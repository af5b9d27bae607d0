//! Embeds the web page where it was built: the files of `ui/dist`, each as it is and, where that is shorter,
//! compressed. Cargo never calls npm; without `ui/dist` the binary serves everything but the page.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    let (ui, dist) = (root.join("ui"), root.join("ui/dist"));
    println!("cargo::rerun-if-changed=build.rs");
    // A folder that is not there would run this script on every build. The page's sources are watched instead:
    // building it changes their folder.
    for folder in [&dist, &ui] {
        if folder.exists() {
            println!("cargo::rerun-if-changed={}", folder.display());
            break;
        }
    }
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist, &mut files).unwrap_or_else(|error| panic!("{}: {error}", dist.display()));
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (number, file) in files.iter().enumerate() {
        let entry = entry(&dist, file, &out.join(format!("ui-{number}.gz")));
        table += &entry.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    table += "]\n";
    fs::write(out.join("ui.rs"), table).expect("OUT_DIR can be written");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("cargo sets {name}: {error}"))
}

/// All files below `folder` but hidden ones, which are the build tool's own.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// One `File` of the table; the compressed form is written to `compressed`.
fn entry(dist: &Path, file: &Path, compressed: &Path) -> io::Result<String> {
    let data = fs::read(file)?;
    let name = file.strip_prefix(dist).unwrap_or(file).to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    // Browsers take brotli over HTTPS only, and this service speaks HTTP: gzip is what every one of them takes.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&data)?;
    let gzip = gzip.finish()?;
    let gzip = if gzip.len() < data.len() {
        fs::write(compressed, gzip)?;
        format!("Some(include_bytes!({:?}))", compressed.display().to_string())
    } else {
        "None".to_owned()
    };
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "    File {{ path: {name:?}, content_type: {:?}, etag: \"W/\\\"{:016x}\\\"\", plain: include_bytes!({:?}), gzip: {gzip} }},",
        content_type(name),
        hasher.finish(),
        file.display().to_string(),
    );
    Ok(text)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
