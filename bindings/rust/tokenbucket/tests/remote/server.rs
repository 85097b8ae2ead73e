//! A server of Redis for one test, in a temporary folder without a port, and a client for it.
use std::cell::Cell;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use tokenbucket::remote::{Command, Connection, Reply};

/// Runs a test on a server of its own, or says that there is none.
pub fn with_server(test: impl FnOnce(&Server)) {
    match Server::start() {
        Some(server) => test(&server),
        None => println!("skipped: redis-server is not installed"),
    }
}

/// Ends when it is dropped.
pub struct Server {
    process: Cell<Option<Child>>,
    folder: PathBuf,
}

impl Server {
    /// None where there is no redis-server.
    fn start() -> Option<Server> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tokenbucket-rust-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let mut command = Process::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(folder.join("s"));
        command.arg("--dir").arg(&folder).stdout(Stdio::null());
        end_with_thread(&mut command);
        let process = match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::remove_dir(&folder).unwrap();
                return None;
            }
            spawned => spawned.unwrap(),
        };
        let server = Server { process: Cell::new(Some(process)), folder };
        for _ in 0..6000 {
            let stream = UnixStream::connect(server.path());
            if stream.map_or(false, |stream| Client::of(stream).ask(&["PING"]) == "+PONG\r\n") {
                return Some(server);
            }
            sleep(Duration::from_millis(5));
        }
        panic!("redis-server does not answer");
    }

    pub fn client(&self) -> Client {
        Client::of(UnixStream::connect(self.path()).unwrap())
    }

    pub fn end(&self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("s")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Also where the test is killed: the process ends with the thread that starts it.
#[cfg(target_os = "linux")]
fn end_with_thread(command: &mut Process) {
    use std::os::raw::c_int;
    use std::os::unix::process::CommandExt;

    extern "C" {
        fn prctl(option: c_int, ...) -> c_int;
    }
    const PR_SET_PDEATHSIG: c_int = 1;
    const SIGKILL: c_int = 9;
    // SAFETY: prctl is a bare system call, which a child may make before it runs its program.
    unsafe {
        command.pre_exec(|| match prctl(PR_SET_PDEATHSIG, SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}
#[cfg(not(target_os = "linux"))]
fn end_with_thread(_: &mut Process) {}

/// One connection for any number of threads, which counts what it sends.
pub struct Client {
    stream: Mutex<UnixStream>,
    sent: AtomicUsize,
}

impl Client {
    fn of(stream: UnixStream) -> Client {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Client { stream: Mutex::new(stream), sent: AtomicUsize::new(0) }
    }

    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// The reply as the server sends it.
    pub fn ask(&self, words: &[&str]) -> String {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        String::from_utf8(self.exchange(&words).unwrap()).unwrap()
    }

    fn exchange(&self, words: &[&[u8]]) -> io::Result<Vec<u8>> {
        let mut text = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            text.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            text.extend_from_slice(word);
            text.extend_from_slice(b"\r\n");
        }
        let mut stream = self.stream.lock().unwrap();
        stream.write_all(&text)?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        let mut reply = Vec::new();
        while !is_whole(&reply) {
            let mut part = [0; 4096];
            match stream.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                size => reply.extend_from_slice(&part[..size]),
            }
        }
        Ok(reply)
    }
}

/// Of the kinds that are asked for here.
fn is_whole(reply: &[u8]) -> bool {
    let lines = reply.windows(2).filter(|two| two == b"\r\n").count();
    match reply.first() {
        None => false,
        Some(b'$') => lines == 2,
        Some(b'*') => Reply::parse(reply).is_ok(),
        Some(_) => lines == 1,
    }
}

impl Connection for Client {
    type Error = io::Error;

    fn send(&self, command: &Command) -> io::Result<Reply> {
        let words: Vec<_> = command.words().collect();
        let reply = self.exchange(&words)?;
        Reply::parse(&reply).map_err(io::Error::from)
    }
}
