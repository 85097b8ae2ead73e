use std::ffi::OsString;
use std::path::PathBuf;

pub const HELP: &str = "\
Usage: slowcp --rate BYTES [OPTION]... FILE... TARGET
Copies files to the folder TARGET, or one file to the name TARGET, all under one bandwidth.

  -r, --rate BYTES    bytes per second of all files together
  -b, --burst BYTES   bytes that may go at once after a pause; a tenth of a second's if not given
  -j, --jobs N        files copied at a time; 4 if not given
      --log FILE      write of each piece to FILE: when its read began and ended, in nanoseconds, and its size
      --progress      say each second, and at the end, how far it is
      --help          show this

BYTES may be fractional and end in k, M, G (thousands) or Ki, Mi, Gi (1024s). A file appears under its name, with its
mode, when it is complete. Exit status: 0 all copied, 1 something was not, 2 wrong usage.
";

pub struct Arguments {
    pub rate: f64,
    pub burst: f64,
    pub jobs: usize,
    pub log: Option<PathBuf>,
    pub shows_progress: bool,
    pub paths: Vec<PathBuf>,
}

impl Arguments {
    /// None: help is wanted.
    pub fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Option<Arguments>, String> {
        let (mut rate, mut burst, mut jobs, mut log) = (None, None, 4, None);
        let mut shows_progress = false;
        let mut paths = Vec::new();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{} needs a value", word.to_string_lossy()));
            match word.to_str() {
                Some("--help") => return Ok(None),
                Some("--progress") => shows_progress = true,
                Some("-r" | "--rate") => rate = Some(bytes(&value()?)?),
                Some("-b" | "--burst") => burst = Some(bytes(&value()?)?),
                Some("-j" | "--jobs") => jobs = count(&value()?)?,
                Some("--log") => log = Some(value()?.into()),
                Some("--") => paths.extend(words.by_ref().map(PathBuf::from)),
                Some(option) if option.starts_with('-') => {
                    return Err(format!("unknown option {}; see --help", option))
                }
                _ => paths.push(word.into()),
            }
        }
        let rate = rate.ok_or("a --rate is needed; see --help")?;
        if paths.len() < 2 {
            return Err("a file and a target are needed; see --help".to_string());
        }
        // A burst must hold a byte, or none could ever go.
        let burst = burst.unwrap_or(rate / 10.0).max(1.0);
        Ok(Some(Arguments { rate, burst, jobs, log, shows_progress, paths }))
    }
}

/// "1.5M", "64Ki".
fn bytes(text: &OsString) -> Result<f64, String> {
    let refused = || format!("{}: not a number of bytes", text.to_string_lossy());
    let text = text.to_str().ok_or_else(refused)?;
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let scale = match unit {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(refused()),
    };
    let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| refused())?;
    Ok(number * scale)
}

fn count(text: &OsString) -> Result<usize, String> {
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    number.ok_or(format!("{}: not a number of files", text.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn sizes_have_units() {
        for (text, wanted) in [("7", 7.0), ("1.5M", 1.5e6), ("64Ki", 65536.0), ("2G", 2e9), (".5k", 500.0)] {
            assert_eq!(bytes(&text.into()), Ok(wanted));
        }
        for text in ["", "M", "1.2.3", "-1", "1e6", "inf", "1m", "1MB", "0x1"] {
            assert!(bytes(&text.into()).is_err(), "{}", text);
        }
    }

    #[test]
    fn options_may_stand_anywhere() {
        let arguments = parse("a --rate 1M b -j 2 -b 4Ki target --progress").unwrap().unwrap();
        assert_eq!((arguments.rate, arguments.burst, arguments.jobs), (1e6, 4096.0, 2));
        assert_eq!(arguments.paths, ["a", "b", "target"].map(PathBuf::from));
        assert!(arguments.shows_progress);
        assert_eq!(parse("-r 1 -- --a b").unwrap().unwrap().paths, ["--a", "b"].map(PathBuf::from));
        assert!(parse("a b --help").unwrap().is_none());
    }

    #[test]
    fn mistakes_are_refused() {
        for line in ["", "a b", "-r 1M a", "-r", "-r 1M -j 0 a b", "-r 1M -x a b"] {
            assert!(parse(line).is_err(), "{}", line);
        }
    }
}
