use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use tokenbucket::{Bucket, Throttled};

use crate::progress::Progress;

const BUFFER: usize = 64 * 1024;

/// What could not be done to which path.
pub struct Failure {
    what: &'static str,
    path: PathBuf,
    why: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} '{}': {}", self.what, self.path.display(), self.why)
    }
}

fn failure<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Failure + 'a {
    move |error| Failure { what, path: path.to_path_buf(), why: reason(&error) }
}

/// The system's words without its number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or(&text).to_string()
}

fn not_a_file() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "not a regular file")
}

/// Copies one file and its mode, under a name beside the target until it is complete.
pub fn copy(from: &Path, to: &Path, bucket: &Bucket, progress: &Progress) -> Result<(), Failure> {
    let cannot_read = failure("cannot read", from);
    let cannot_write = failure("cannot write", to);
    // Before it is opened: that of a pipe waits for its other end, which no signal ends.
    let metadata = fs::metadata(from).map_err(&cannot_read)?;
    if !metadata.is_file() {
        return Err(cannot_read(not_a_file()));
    }
    // The copy takes the place of what has its name, so that must not be a device or a pipe.
    if fs::metadata(to).map_or(false, |target| !target.is_file() && !target.is_dir()) {
        return Err(cannot_write(not_a_file()));
    }
    let source = File::open(from).map_err(&cannot_read)?;
    let is_same = matches!((from.canonicalize(), to.canonicalize()), (Ok(from), Ok(to)) if from == to);
    if is_same {
        return Err(cannot_write(io::Error::new(ErrorKind::InvalidInput, "source and target are the same file")));
    }
    let partial = beside(to, &partial_name(to));
    let target = create(&partial)?;
    let copied = transfer(Throttled::new(source, bucket), target, progress, &cannot_read, &cannot_write)
        .and_then(|()| fs::set_permissions(&partial, metadata.permissions()).map_err(&cannot_write))
        .and_then(|()| fs::rename(&partial, to).map_err(&cannot_write));
    if copied.is_err() {
        // The first error is the one to be told.
        let _ = fs::remove_file(&partial);
    }
    copied
}

fn partial_name(to: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(".slowcp");
    name
}

fn beside(to: &Path, name: &OsString) -> PathBuf {
    match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.join(name),
        _ => Path::new(".").join(name),
    }
}

/// Only what is not there yet: what lies there is another slowcp's.
fn create(partial: &Path) -> Result<File, Failure> {
    OpenOptions::new().write(true).create_new(true).open(partial).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure {
            what: "cannot create",
            path: partial.to_path_buf(),
            why: "it is there: another slowcp copies to it, or was killed and left it behind".to_string(),
        },
        _ => failure("cannot create a file in", partial.parent().unwrap_or(partial))(error),
    })
}

fn transfer(
    mut source: impl Read,
    mut target: File,
    progress: &Progress,
    cannot_read: impl Fn(io::Error) -> Failure,
    cannot_write: impl Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let begun = progress.now();
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                progress.moved(begun, length);
                target.write_all(&buffer[..length]).map_err(&cannot_write)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot_read(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_file_lies_beside_its_target() {
        for (to, partial) in [("folder/a.tar", "folder/.a.tar.slowcp"), ("a", "./.a.slowcp"), ("/a", "/.a.slowcp")] {
            let to = Path::new(to);
            assert_eq!(beside(to, &partial_name(to)), Path::new(partial));
        }
    }

    #[test]
    fn reasons_have_no_numbers() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "No such file or directory");
        assert_eq!(reason(&io::Error::new(ErrorKind::Other, "not a regular file")), "not a regular file");
    }
}
