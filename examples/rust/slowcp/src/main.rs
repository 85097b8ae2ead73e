//! Copies files, several at a time, under one bandwidth.
mod arguments;
mod copy;
mod progress;

use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;
use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokenbucket::{Bucket, Config};

use arguments::{Arguments, HELP};
use progress::Progress;

/// A file and where it goes.
struct Job {
    from: PathBuf,
    to: PathBuf,
}

fn main() {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{}", HELP);
            return;
        }
        Err(why) => fail(2, why),
    };
    match run(&arguments) {
        Ok(0) => {}
        Ok(_) => exit(1),
        Err(why) => fail(1, why),
    }
}

fn fail(status: i32, why: impl std::fmt::Display) -> ! {
    eprintln!("slowcp: {}", why);
    exit(status)
}

/// Copies all there is and says how many files could not be copied.
fn run(arguments: &Arguments) -> Result<usize, Box<dyn Error>> {
    let jobs = plan(arguments)?;
    let bucket = Config::new(arguments.burst, arguments.rate, Duration::from_secs(1)).build()?;
    let progress = Progress::new(arguments.log.as_deref())?;
    let failures = thread::scope(|scope| {
        if arguments.shows_progress {
            scope.spawn(|| progress.show_until_done());
        }
        let failures = copy_all(&jobs, arguments.jobs, &bucket, &progress);
        progress.done();
        failures
    });
    progress.close_log()?;
    Ok(failures)
}

/// Where each file goes; no two to the same place.
fn plan(arguments: &Arguments) -> Result<Vec<Job>, String> {
    let (to, sources) = arguments.paths.split_last().expect("checked by Arguments::parse");
    let is_folder = to.is_dir();
    if sources.len() > 1 && !is_folder {
        return Err(format!("{}: not a folder", to.display()));
    }
    let mut taken = HashSet::new();
    let place = |from: &PathBuf| {
        let to = match (is_folder, from.file_name()) {
            (false, _) => to.clone(),
            (true, Some(name)) => to.join(name),
            (true, None) => return Err(format!("{}: not a file", from.display())),
        };
        if !taken.insert(to.clone()) {
            return Err(format!("{}: two files would go there", to.display()));
        }
        Ok(Job { from: from.clone(), to })
    };
    sources.iter().map(place).collect()
}

/// Each worker takes the next file until there is none. One that fails does not stop the others.
fn copy_all(jobs: &[Job], workers: usize, bucket: &Bucket, progress: &Progress) -> usize {
    let next = AtomicUsize::new(0);
    let failures = AtomicUsize::new(0);
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = copy::copy(&job.from, &job.to, bucket, progress) {
                failures.fetch_add(1, Ordering::Relaxed);
                eprintln!("slowcp: {}: {}", job.from.display(), why);
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
