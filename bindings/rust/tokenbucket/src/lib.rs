#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod address;
mod adjust;
mod alarm;
mod bucket;
mod clock;
mod config;
mod error;
mod event;
mod library;
mod limits;
mod look;
mod member;
mod queue;
mod refusal;
pub mod remote;
mod reservation;
mod reservations;
mod shared;
mod table;
mod table_config;
mod throttled;
mod time;
mod wait;
mod wait_all;
mod waiting;

pub use address::{address_key, AddressKey};
pub use bucket::{Bucket, Decision};
pub use clock::{CallbackClock, Clock, ManualClock, Waiters};
pub use config::Config;
pub use error::Error;
pub use event::{Event, Outcome};
pub use library::{has_feature, library_version};
pub use limits::Limits;
pub use look::{Limit, Stats};
pub use member::Member;
pub use refusal::Refusal;
pub use reservation::Reservation;
pub use reservations::Reservations;
pub use shared::{remove_shared, SharedError};
pub use table::{Table, TableStats};
pub use table_config::{TableConfig, WhenFull};
pub use throttled::Throttled;
pub use wait::Wait;
pub use wait_all::WaitAll;
