//! Compiles the messages with a compiler written in Rust; nothing generated stands in the tree.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

/// Where the descriptions stand, and what their imports are relative to.
const ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let mut files = Vec::new();
    find(Path::new(ROOT), &mut files)?;
    files.sort();

    let set = protox::compile(&files, [ROOT])?;

    // Reflection shows what the control port serves; payloads and comments would only make it longer.
    let mut served = set.clone();
    served
        .file
        .retain(|file| file.name().starts_with("datadog/") || file.name().starts_with("google/"));
    served
        .file
        .retain(|file| file.package() != "datadog.agentpayload");
    for file in &mut served.file {
        file.source_code_info = None;
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("served.bin"), served.encode_to_vec())?;

    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .compile_fds(set)?;
    Ok(())
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    Ok(())
}
