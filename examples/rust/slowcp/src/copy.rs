use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tokenbucket::{Bucket, Throttled};

use crate::progress::Progress;

const BUFFER: usize = 64 * 1024;

/// Copies one file and its mode, under a name beside the target until it is complete.
pub fn copy(from: &Path, to: &Path, bucket: &Bucket, progress: &Progress) -> io::Result<()> {
    let source = File::open(from)?;
    let metadata = source.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let is_same = matches!((from.canonicalize(), to.canonicalize()), (Ok(from), Ok(to)) if from == to);
    if is_same {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "source and target are the same file"));
    }
    let partial = partial_name(to);
    // create_new: what lies there already is somebody else's.
    let target = OpenOptions::new().write(true).create_new(true).open(&partial)?;
    let copied = transfer(Throttled::new(source, bucket), target, progress)
        .and_then(|()| fs::set_permissions(&partial, metadata.permissions()))
        .and_then(|()| fs::rename(&partial, to));
    if copied.is_err() {
        // The first error is the one to be told.
        let _ = fs::remove_file(&partial);
    }
    copied
}

fn partial_name(to: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(".slowcp");
    to.with_file_name(name)
}

fn transfer(mut source: impl Read, mut target: File, progress: &Progress) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let begun = progress.now();
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                progress.moved(begun, length);
                target.write_all(&buffer[..length])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_file_lies_beside_its_target() {
        assert_eq!(partial_name(Path::new("folder/a.tar")), Path::new("folder/.a.tar.slowcp"));
        assert_eq!(partial_name(Path::new("a")), Path::new(".a.slowcp"));
    }
}
