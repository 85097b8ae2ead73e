//! Finds the C library: TOKENBUCKET_LIB_DIR, else the pkg-config program, else the build folder of the source tree that
//! these files lie in.
use std::env;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};

const VERSIONS: [&str; 2] = ["tokenbucket >= 1.0.0", "tokenbucket < 2"];

struct Library {
    search: Option<PathBuf>,
    root: PathBuf,
    include: PathBuf,
    is_static: bool,
}

fn main() {
    let inputs = ["TOKENBUCKET_LIB_DIR", "TOKENBUCKET_STATIC", "DOCS_RS"];
    let of_pkg_config = ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR"];
    for name in inputs.iter().chain(&of_pkg_config) {
        println!("cargo:rerun-if-env-changed={}", name);
    }
    println!("cargo:rerun-if-changed=build.rs");
    // docs.rs compiles without linking, where the library is not installed.
    if env::var_os("DOCS_RS").is_some() {
        return;
    }
    match find() {
        Ok(library) => link(&library),
        Err(why) => {
            eprintln!("{}", why);
            exit(1);
        }
    }
}

fn wants_static() -> bool {
    env::var("TOKENBUCKET_STATIC").map_or(false, |value| !value.is_empty() && value != "0")
}

fn find() -> Result<Library, String> {
    match env::var_os("TOKENBUCKET_LIB_DIR") {
        Some(dir) => in_folder(Path::new(&dir)),
        None => by_pkg_config().or_else(|why| in_tree().ok_or(why)),
    }
}

fn in_folder(dir: &Path) -> Result<Library, String> {
    let is_static = wants_static();
    let names: &[&str] = if is_static { &["libtokenbucket.a"] } else { &["libtokenbucket.so", "libtokenbucket.dylib"] };
    if !names.iter().any(|name| dir.join(name).exists()) {
        return Err(format!("TOKENBUCKET_LIB_DIR={} holds no {}", dir.display(), names.join(" or ")));
    }
    let root = dir.parent().unwrap_or(dir).to_path_buf();
    Ok(Library { search: Some(dir.to_path_buf()), include: root.join("include"), root, is_static })
}

/// The static library, since nothing would tell a program where to find the shared one when it runs.
fn in_tree() -> Option<Library> {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).ancestors().nth(3)?.to_path_buf();
    let (include, build) = (root.join("capi/include"), root.join("build"));
    let is_there = include.join("tokenbucket.h").exists() && build.join("libtokenbucket.a").exists();
    if !is_there || env::var_os("HOST") != env::var_os("TARGET") {
        return None;
    }
    Some(Library { search: Some(build), root, include, is_static: true })
}

fn by_pkg_config() -> Result<Library, String> {
    refuse_foreign_target()?;
    pkg_config(&["--exists", "--print-errors", VERSIONS[0], VERSIONS[1]])?;
    // No -L for a folder that the linker searches anyway: it would put all of that folder before the user's own.
    let is_static = wants_static();
    let is_elsewhere = !pkg_config(&["--libs-only-L", "tokenbucket"])?.is_empty();
    let libdir = PathBuf::from(pkg_config(&["--variable=libdir", "tokenbucket"])?);
    Ok(Library {
        search: if is_elsewhere || is_static { Some(libdir) } else { None },
        root: pkg_config(&["--variable=prefix", "tokenbucket"])?.into(),
        include: pkg_config(&["--variable=includedir", "tokenbucket"])?.into(),
        is_static,
    })
}

/// The host's pkg-config would name the host's library.
fn refuse_foreign_target() -> Result<(), String> {
    let is_told = env::var_os("PKG_CONFIG").is_some() || env::var_os("PKG_CONFIG_SYSROOT_DIR").is_some();
    if is_told || env::var_os("HOST") == env::var_os("TARGET") {
        return Ok(());
    }
    Err("tokenbucket is built for another target: set TOKENBUCKET_LIB_DIR to the folder of that target's library, or \
         PKG_CONFIG to that target's pkg-config"
        .to_string())
}

fn pkg_config(query: &[&str]) -> Result<String, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_string());
    let output = Command::new(&program)
        .args(query)
        .output()
        .map_err(|error| not_found(&format!("{} cannot be run: {}", program, error)))?;
    if !output.status.success() {
        return Err(not_found(String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn not_found(why: &str) -> String {
    format!(
        "The C library tokenbucket (1.0 or newer, below 2) was not found.\n\
         Install it; or set TOKENBUCKET_LIB_DIR to the folder that holds libtokenbucket; or set PKG_CONFIG_PATH to the \
         folder that holds tokenbucket.pc; or, in the library's source tree, build it in the folder build:\n\
         cmake -S . -B build && cmake --build build\n{}",
        why
    )
}

fn link(library: &Library) {
    if let Some(dir) = &library.search {
        println!("cargo:rustc-link-search=native={}", dir.display());
        if library.is_static {
            println!("cargo:rerun-if-changed={}", dir.join("libtokenbucket.a").display());
        }
    }
    println!("cargo:rustc-link-lib={}=tokenbucket", if library.is_static { "static" } else { "dylib" });
    println!("cargo:root={}", library.root.display());
    println!("cargo:include={}", library.include.display());
}
