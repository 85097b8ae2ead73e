#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod bucket;
mod clock;
mod config;
mod error;
mod reservation;
mod sleepers;
mod time;

pub use bucket::{Bucket, Decision};
pub use clock::ManualClock;
pub use config::Config;
pub use error::Error;
pub use reservation::Reservation;
