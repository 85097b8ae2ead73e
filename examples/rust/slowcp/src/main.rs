//! Copies files, several at a time, under one bandwidth.
mod arguments;
mod copy;
mod progress;
mod system;

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokenbucket::{library_version, Bucket, Config};

use arguments::{Arguments, Wish, HELP};
use copy::reason;
use progress::Progress;

/// A file and where it goes.
struct Job {
    from: PathBuf,
    to: PathBuf,
}

fn main() {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Wish::Copy(arguments)) => arguments,
        Ok(Wish::Help) => show(HELP),
        Ok(Wish::Version) => show(&format!("slowcp (tokenbucket) {}\n", library_version())),
        Err(why) => {
            complain(format!("{}\nTry 'slowcp --help'.", why));
            exit(2)
        }
    };
    system::note_signals();
    let failures = run(&arguments);
    system::end_if_stopped();
    match failures {
        Ok(0) => {}
        Ok(_) => exit(1),
        Err(why) => {
            complain(why);
            exit(1)
        }
    }
}

/// To whom it was asked for: a reader that has gone has read enough.
fn show(text: &str) -> ! {
    let status = match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => 1,
        _ => 0,
    };
    exit(status)
}

fn complain(why: impl std::fmt::Display) {
    // There is nobody else to be told.
    let _ = writeln!(io::stderr(), "slowcp: {}", why);
}

/// Copies all there is and says how many files could not be copied.
fn run(arguments: &Arguments) -> Result<usize, Box<dyn Error>> {
    let jobs = plan(arguments)?;
    let bucket = Config::new(arguments.burst, arguments.rate, Duration::from_secs(1)).build()?;
    let log = arguments.log.as_deref();
    let log_failed = |error| format!("cannot write '{}': {}", log.unwrap_or(Path::new("")).display(), reason(&error));
    let expected = jobs
        .iter()
        .filter_map(|job| fs::metadata(&job.from).ok())
        .filter(|data| data.is_file())
        .map(|data| data.len())
        .sum();
    let progress = Progress::new(expected, arguments.rate, arguments.burst, log).map_err(log_failed)?;
    let is_shown = !arguments.quiet && (arguments.progress || system::is_terminal());
    let failures = thread::scope(|scope| {
        // A closed bucket ends all waits.
        scope.spawn(|| {
            progress.watch(is_shown, || {
                let _ = bucket.close();
            })
        });
        let failures = copy_all(&jobs, arguments.jobs, &bucket, &progress);
        progress.done();
        failures
    });
    progress.close_log().map_err(log_failed)?;
    Ok(failures)
}

/// Where each file goes; no two to the same place.
fn plan(arguments: &Arguments) -> Result<Vec<Job>, String> {
    let (to, sources) = arguments.paths.split_last().expect("checked by Arguments::parse");
    let is_folder = to.is_dir();
    if !is_folder && (sources.len() > 1 || to.to_string_lossy().ends_with('/')) {
        return Err(format!("the target '{}' is not a folder", to.display()));
    }
    let mut taken = HashSet::new();
    let place = |from: &PathBuf| {
        let to = match (is_folder, from.file_name()) {
            (false, _) => to.clone(),
            (true, Some(name)) => to.join(name),
            (true, None) => return Err(format!("cannot read '{}': not a regular file", from.display())),
        };
        if !taken.insert(to.clone()) {
            return Err(format!("two files would go to '{}'", to.display()));
        }
        Ok(Job { from: from.clone(), to })
    };
    sources.iter().map(place).collect()
}

/// Each worker takes the next file until there is none. One that fails does not stop the others; a signal does.
fn copy_all(jobs: &[Job], workers: usize, bucket: &Bucket, progress: &Progress) -> usize {
    let next = AtomicUsize::new(0);
    let failures = AtomicUsize::new(0);
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let copied = copy::copy(&job.from, &job.to, bucket, progress);
            if bucket.is_closed() {
                return;
            }
            if let Err(why) = copied {
                failures.fetch_add(1, Ordering::Relaxed);
                complain(why);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers.min(jobs.len()) {
            scope.spawn(work);
        }
    });
    failures.into_inner()
}
