#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod adjust;
mod alarm;
mod bucket;
mod clock;
mod config;
mod error;
mod event;
mod library;
mod look;
mod reservation;
mod throttled;
mod time;
mod wait;

pub use bucket::{Bucket, Decision};
pub use clock::{CallbackClock, Clock, ManualClock, Waiters};
pub use config::Config;
pub use error::Error;
pub use event::{Event, Outcome};
pub use library::{has_feature, library_version};
pub use look::{Limit, Stats};
pub use reservation::Reservation;
pub use throttled::Throttled;
pub use wait::Wait;
