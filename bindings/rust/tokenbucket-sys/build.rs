//! Finds the C library: TOKENBUCKET_LIB_DIR, else the pkg-config program; else builds it from its sources, which are in
//! the package, or in the tree that these files lie in.
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

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
    watch(Path::new("build.rs"));
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
    if let Some(dir) = env::var_os("TOKENBUCKET_LIB_DIR") {
        return in_folder(Path::new(&dir));
    }
    by_pkg_config().or_else(|why| match sources() {
        Some(folder) => compile(&folder).map_err(|error| not_found(&format!("{}\n{}", why, error))),
        None => Err(not_found(&why)),
    })
}

fn watch(path: &Path) {
    println!("cargo:rerun-if-changed={}", path.display());
}

fn in_folder(dir: &Path) -> Result<Library, String> {
    let is_static = wants_static();
    let names: &[&str] = if is_static { &["libtokenbucket.a"] } else { &["libtokenbucket.so", "libtokenbucket.dylib"] };
    if !names.iter().any(|name| dir.join(name).exists()) {
        return Err(format!("TOKENBUCKET_LIB_DIR={} holds no {}", dir.display(), names.join(" or ")));
    }
    if is_static {
        watch(&dir.join("libtokenbucket.a"));
    }
    let root = dir.parent().unwrap_or(dir).to_path_buf();
    Ok(Library { search: Some(dir.to_path_buf()), include: root.join("include"), root, is_static })
}

/// The library's sources, laid out as in its tree.
fn sources() -> Option<PathBuf> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let folders = [Some(package.join("library")), package.ancestors().nth(3).map(Path::to_path_buf)];
    folders.into_iter().flatten().find(|folder| folder.join("core/sources.txt").exists())
}

/// A variable of the target, as CXX_aarch64_unknown_linux_gnu, else, where that is the host, the plain one.
fn of_target(name: &str) -> Option<String> {
    let target = env::var("TARGET").ok()?;
    let mut names = vec![format!("{}_{}", name, target), format!("{}_{}", name, target.replace('-', "_"))];
    if env::var("HOST").ok()? == target {
        names.push(name.to_string());
    }
    for name in &names {
        println!("cargo:rerun-if-env-changed={}", name);
    }
    names.iter().find_map(|name| env::var(name).ok())
}

fn lines(path: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {}", path.display(), error))?;
    Ok(text.split_whitespace().map(str::to_string).collect())
}

fn is_cfg(name: &str, value: &str) -> bool {
    env::var(name).map_or(false, |found| found == value)
}

/// All of it links as C: the program needs no run-time part of C++.
fn compile(folder: &Path) -> Result<Library, String> {
    let target = env::var("TARGET").unwrap_or_default();
    let compiler = match of_target("CXX") {
        Some(compiler) => compiler,
        None if env::var_os("HOST") == env::var_os("TARGET") => "c++".to_string(),
        None => {
            return Err(format!(
                "To build it for {}, set CXX_{} to a C++20 compiler.",
                target,
                target.replace('-', "_")
            ))
        }
    };
    let platform = if is_cfg("CARGO_CFG_TARGET_OS", "linux") { "core/platform/linux" } else { "core/platform/posix" };
    let mut flags = lines(&folder.join("capi/cxxflags.txt"))?;
    flags.extend(["-std=c++20", "-O2", "-DNDEBUG", "-fPIC", "-DTB_API=", "-D_FILE_OFFSET_BITS=64"].map(str::to_string));
    flags.push(format!("-DTOKENBUCKET_VERSION=\"{}\"", lines(&folder.join("capi/VERSION"))?.concat()));
    flags.push(format!("-I{}", folder.display()));
    flags.push(format!("-I{}", folder.join(platform).display()));
    if is_cfg("CARGO_CFG_TARGET_ARCH", "x86") {
        flags.extend(["-msse2", "-mfpmath=sse"].map(str::to_string));
    }
    flags.extend(of_target("CXXFLAGS").iter().flat_map(|more| more.split_whitespace()).map(str::to_string));

    let mut names = Vec::new();
    for part in ["core", "capi", platform] {
        names.extend(lines(&folder.join(part).join("sources.txt"))?);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("there is no OUT_DIR")?);
    let objects: Vec<PathBuf> = names.iter().map(|name| out.join(name.replace('/', "_") + ".o")).collect();
    let compile_one = |index: usize| {
        let mut command = tool(&compiler);
        command.args(&flags).arg("-c").arg(folder.join(&names[index])).arg("-o").arg(&objects[index]);
        run(command, "C++20 compiler")
    };
    in_parallel(names.len(), &compile_one)?;

    let archive = out.join("libtokenbucket.a");
    let _ = fs::remove_file(&archive);
    let mut command = tool(&of_target("AR").unwrap_or_else(|| "ar".to_string()));
    command.arg("crs").arg(&archive).args(&objects);
    run(command, "archiver")?;
    watch(&folder.join("core"));
    watch(&folder.join("capi"));
    Ok(Library { search: Some(out.clone()), root: out, include: folder.join("capi/include"), is_static: true })
}

/// A program with the arguments that its variable holds, such as "ccache g++".
fn tool(words: &str) -> Command {
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

fn run(mut command: Command, what: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| {
        let program = command.get_program().to_string_lossy();
        format!("To build it there is no {} {} ({}). On Debian or Ubuntu: sudo apt install g++", what, program, error)
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "Building it failed; it needs a C++20 compiler, such as gcc 10 or clang 12:\n{:?}\n{}",
        command,
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Calls the function for each index; the first error.
fn in_parallel(count: usize, call: &(dyn Fn(usize) -> Result<(), String> + Sync)) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let work = || loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= count {
            return Ok(());
        }
        call(index)?;
    };
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })
}

fn by_pkg_config() -> Result<Library, String> {
    refuse_foreign_target()?;
    pkg_config(&["--exists", "--print-errors", VERSIONS[0], VERSIONS[1]])?;
    // No -L for a folder that the linker searches anyway: it would put all of that folder before the user's own.
    let is_static = wants_static();
    let is_elsewhere = !pkg_config(&["--libs-only-L", "tokenbucket"])?.is_empty();
    let libdir = PathBuf::from(pkg_config(&["--variable=libdir", "tokenbucket"])?);
    if is_static {
        watch(&libdir.join("libtokenbucket.a"));
    }
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
    Err("For another target TOKENBUCKET_LIB_DIR names the folder of that target's library, or PKG_CONFIG that target's \
         pkg-config."
        .to_string())
}

fn pkg_config(query: &[&str]) -> Result<String, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_string());
    let output =
        Command::new(&program).args(query).output().map_err(|error| format!("{} cannot be run: {}", program, error))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_string());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn not_found(why: &str) -> String {
    format!(
        "The C library tokenbucket (1.0 or newer, below 2) was not found.\n\
         Install it; or set TOKENBUCKET_LIB_DIR to the folder that holds libtokenbucket; or set PKG_CONFIG_PATH to the \
         folder that holds tokenbucket.pc; or have a C++20 compiler, which builds it from its sources.\n{}",
        why
    )
}

fn link(library: &Library) {
    if let Some(dir) = &library.search {
        println!("cargo:rustc-link-search=native={}", dir.display());
    }
    println!("cargo:rustc-link-lib={}=tokenbucket", if library.is_static { "static" } else { "dylib" });
    println!("cargo:root={}", library.root.display());
    println!("cargo:include={}", library.include.display());
}
