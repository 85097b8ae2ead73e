use std::ffi::OsString;
use std::path::PathBuf;

pub const HELP: &str = "\
Usage: slowcp --rate RATE [OPTION]... FILE... TARGET

Copies files to the folder TARGET, or one file to the name TARGET, all under one
bandwidth. A file appears under its name, with its mode, when it is complete.

Options:
  -r, --rate RATE    bytes per second of all files together: 0.000000001 to
                     10GB/s
  -b, --burst BURST  the most that goes at once: 1 to 1000TB (default: what RATE
                     allows in a tenth of a second)
  -j, --jobs N       files copied at a time: 1 to 1000 (default: 4)
  -p, --progress     shows progress even where standard error is no terminal
  -q, --quiet        shows no progress
      --log FILE     writes for each piece when its read began and ended, in
                     nanoseconds since the start, and its size
  -h, --help         shows this help
      --version      shows the version

Amounts:
  A decimal number with an optional suffix. k or K, M, G and T mean powers of
  1000; Ki, Mi, Gi and Ti mean powers of 1024. A B for bytes may follow, and a
  rate may end in /s: 512K, 10MB and 1MiB/s are rates.

Progress:
  On a terminal: the amount copied of all, the rate now and on average, and the
  time left.

Exit status:
  0  all was copied
  1  a file was not copied; the others were
  2  wrong usage
  SIGINT, SIGTERM and SIGHUP end slowcp as that signal; no part of a file stays.

Examples:
  slowcp --rate 2MB/s photos/*.jpg /mnt/backup
";

pub struct Arguments {
    pub rate: f64,
    pub burst: f64,
    pub jobs: usize,
    pub log: Option<PathBuf>,
    pub progress: bool,
    pub quiet: bool,
    pub paths: Vec<PathBuf>,
}

pub enum Wish {
    Copy(Arguments),
    Help,
    Version,
}

impl Arguments {
    /// Err: what is wrong, in one line.
    pub fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Wish, String> {
        let (mut rate, mut burst, mut jobs, mut log) = (None, None, 4, None);
        let (mut progress, mut quiet) = (false, false);
        let mut paths = Vec::new();
        while let Some(word) = words.next() {
            let (option, mut attached) = split(&word);
            let mut value =
                || attached.take().or_else(|| words.next()).ok_or(format!("option '{}' requires an argument", option));
            match option.as_str() {
                "-h" | "--help" => return Ok(Wish::Help),
                "--version" => return Ok(Wish::Version),
                "-p" | "--progress" => progress = true,
                "-q" | "--quiet" => quiet = true,
                "-r" | "--rate" => rate = Some(parse_rate(&value()?)?),
                "-b" | "--burst" => burst = Some(parse_burst(&value()?)?),
                "-j" | "--jobs" => jobs = parse_jobs(&value()?)?,
                "--log" => log = Some(value()?.into()),
                "--" => paths.extend(words.by_ref().map(PathBuf::from)),
                "" => paths.push(word.into()),
                _ => return Err(format!("unrecognized option '{}'", option)),
            }
            if let Some(value) = attached {
                return Err(format!("option '{}' takes no argument such as '{}'", option, value.to_string_lossy()));
            }
        }
        let rate = rate.ok_or("--rate is needed, such as '--rate 10MB/s'")?;
        if paths.len() < 2 {
            return Err("a FILE and a TARGET are needed".to_string());
        }
        // A burst must hold a byte, or none could ever go.
        let burst = burst.unwrap_or((rate / 10.0_f64).max(1.0));
        Ok(Wish::Copy(Arguments { rate, burst, jobs, log, progress, quiet, paths }))
    }
}

/// The option of a word, empty if it is a path, and a value that is attached to it: --rate=1M or -r1M.
fn split(word: &OsString) -> (String, Option<OsString>) {
    let text = match word.to_str() {
        Some(text) if text.starts_with('-') && text.len() > 1 => text,
        _ => return (String::new(), None),
    };
    if text.starts_with("--") {
        return match text.split_once('=') {
            Some((option, value)) => (option.to_string(), Some(value.into())),
            None => (text.to_string(), None),
        };
    }
    let end = text.char_indices().nth(2).map_or(text.len(), |(at, _)| at);
    let value = Some(&text[end..]).filter(|value| !value.is_empty());
    (text[..end].to_string(), value.map(OsString::from))
}

/// The library's limits of a rate.
fn parse_rate(text: &OsString) -> Result<f64, String> {
    let rate = text.to_str().and_then(|text| parse_amount(text.strip_suffix("/s").unwrap_or(text)));
    rate.filter(|rate| (1e-9..=1e10).contains(rate)).ok_or_else(|| {
        let text = text.to_string_lossy();
        format!("--rate must be from 0.000000001 to 10GB/s, such as 512K, 10MB or 1MiB/s, not '{}'", text)
    })
}

/// At most what the library takes as a capacity.
fn parse_burst(text: &OsString) -> Result<f64, String> {
    let burst = text.to_str().and_then(parse_amount).filter(|burst| (1.0..=1e15).contains(burst));
    burst.ok_or_else(|| {
        format!("--burst must be from 1 to 1000TB, such as 64K or 1MiB, not '{}'", text.to_string_lossy())
    })
}

fn parse_jobs(text: &OsString) -> Result<usize, String> {
    let jobs = text.to_str().and_then(|text| text.parse().ok()).filter(|jobs| (1..=1000).contains(jobs));
    jobs.ok_or_else(|| format!("--jobs must be from 1 to 1000, such as 4, not '{}'", text.to_string_lossy()))
}

/// "1.5M", "64Ki", "10MB".
fn parse_amount(text: &str) -> Option<f64> {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - suffix.len()].parse().ok()?;
    let unit = suffix.strip_suffix('B').unwrap_or(suffix);
    let (prefix, base) = match unit.strip_suffix('i') {
        Some(prefix) => (prefix, 1024.0_f64),
        None => (unit, 1000.0),
    };
    let power = match prefix {
        "" if base == 1000.0 => 0,
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return None,
    };
    Some(number * base.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        match Arguments::parse(line.split_whitespace().map(OsString::from))? {
            Wish::Copy(arguments) => Ok(arguments),
            _ => Err("informs".to_string()),
        }
    }

    #[test]
    fn amounts_have_suffixes() {
        for (text, wanted) in [
            ("7", 7.0),
            ("1.5M", 1.5e6),
            ("64Ki", 65536.0),
            ("2G", 2e9),
            (".5k", 500.0),
            ("10MB", 1e7),
            ("3KiB", 3072.0),
            ("512K", 512e3),
            ("1T", 1e12),
            ("9B", 9.0),
        ] {
            assert_eq!(parse_amount(text), Some(wanted), "{}", text);
        }
        for text in ["", "M", "1.2.3", "-1", "1e6", "inf", "1m", "1Mb", "1i", "1iB", "1BB", "0x1", "1M/s"] {
            assert_eq!(parse_amount(text), None, "{}", text);
        }
    }

    #[test]
    fn options_may_stand_anywhere() {
        let arguments = parse("a --rate=1MiB/s b -j2 -b 4Ki target --progress -q").unwrap();
        assert_eq!((arguments.rate, arguments.burst, arguments.jobs), (1048576.0, 4096.0, 2));
        assert_eq!(arguments.paths, ["a", "b", "target"].map(PathBuf::from));
        assert!(arguments.progress && arguments.quiet);
        assert_eq!(parse("-r 1 -- --a b").unwrap().paths, ["--a", "b"].map(PathBuf::from));
        assert_eq!(parse("-r 1 - b").unwrap().paths, ["-", "b"].map(PathBuf::from));
        assert_eq!(parse("-r 5 a b").unwrap().burst, 1.0);
        assert!(matches!(Arguments::parse(["a", "--help"].map(OsString::from).into_iter()), Ok(Wish::Help)));
    }
}
