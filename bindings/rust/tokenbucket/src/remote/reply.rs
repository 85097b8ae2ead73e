use tokenbucket_sys as sys;

use crate::{Argument, Error};

/// What a server answers to a [`Command`](crate::remote::Command).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The number, or the numbers of the array.
    Numbers(Vec<i64>),
    /// An error, with its code: `NOSCRIPT No matching script.`
    Error(String),
}

impl Reply {
    /// A reply as the server sends it, such as `*3\r\n:1\r\n:0\r\n:0\r\n`, for clients that hand it out so.
    ///
    /// # Errors
    /// `InvalidArgument`: neither an error nor a number nor an array of numbers, or not all of it.
    pub fn parse(text: &[u8]) -> Result<Reply, Error> {
        if let [b'-', message @ .., b'\r', b'\n'] = text {
            return Ok(Reply::Error(String::from_utf8_lossy(message).into_owned()));
        }
        // A number takes four bytes or more.
        let mut numbers = vec![0; text.len() / 4 + 1];
        let mut count = 0;
        // SAFETY: the text lives for the call, and there is room for as many numbers as is said.
        let status = unsafe {
            let room = numbers.len();
            sys::tb_remote_parse(text.as_ptr().cast(), text.len(), room, numbers.as_mut_ptr(), &mut count)
        };
        if status != sys::TB_SUCCESS {
            return Err(Error::of(status, || {
                let allowed = "the whole of an error, a number or an array of numbers from a server";
                Argument::new("text", allowed, format_args!("{:?}", String::from_utf8_lossy(text)))
            }));
        }
        numbers.truncate(count);
        Ok(Reply::Numbers(numbers))
    }

    /// Whether the server does not have the script, and so has decided nothing: send
    /// [`Call::command_with_script`](crate::remote::Call::command_with_script).
    pub fn is_noscript(&self) -> bool {
        matches!(self, Reply::Error(text) if text.starts_with("NOSCRIPT"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_as_the_server_sends_them() {
        assert_eq!(Reply::parse(b":-7\r\n"), Ok(Reply::Numbers(vec![-7])));
        assert_eq!(Reply::parse(b"*3\r\n:1\r\n:0\r\n:20\r\n"), Ok(Reply::Numbers(vec![1, 0, 20])));
        let refused = Reply::parse(b"-NOSCRIPT No matching script.\r\n").unwrap();
        assert_eq!(refused, Reply::Error("NOSCRIPT No matching script.".into()));
        assert!(refused.is_noscript());
        assert!(!Reply::Error("ERR NOSCRIPT".into()).is_noscript());
        assert!(!Reply::Numbers(vec![1]).is_noscript());
    }

    #[test]
    fn what_is_no_whole_reply_is_refused() {
        for text in
            ["", "-ERR", "-ERR\r", ":1", ":1\r\n:2\r\n", "*2\r\n:1\r\n", "+OK\r\n", "$1\r\n1\r\n", "*1\r\n*1\r\n:1\r\n"]
        {
            let error = Reply::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(
                error.starts_with("text must be the whole of an error, a number")
                    && error.ends_with(&format!("got {:?}", text)),
                "{}",
                error
            );
        }
    }
}
