use std::convert::TryFrom;
use std::mem::{size_of, MaybeUninit};

use tokenbucket_sys as sys;

use crate::error::check;
use crate::fault::Fault;
use crate::{Argument, Config, Error, Table};

/// What becomes of a new key when its 16 places are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The one of them that holds most tokens, and is not in debt, is forgotten, as if it were full; `TableFull` if all
    /// are in debt.
    #[default]
    EvictFullest,
    /// `TableFull`.
    Deny,
    /// It is granted what it asks for, and that is not remembered.
    Admit,
}

/// What a table is made of: the limit of each key, and how large it is.
///
/// ```
/// # use tokenbucket::{Config, TableConfig, WhenFull};
/// let per_user = Config::per_hour(100, 700_000);
/// let table = TableConfig::with_max_keys(per_user, 10_000).when_full(WhenFull::Deny).build()?;
/// assert!(table.allow("user 1", 100)?);
/// # Ok::<(), tokenbucket::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a TableConfig does nothing until it is built"]
pub struct TableConfig {
    limit: Config,
    size: Size,
    when_full: WhenFull,
}

#[derive(Clone, Copy, Debug)]
enum Size {
    Keys(u64),
    Bytes(u64),
}

impl Size {
    /// What the library refuses as max_keys or max_bytes.
    fn argument(self, fault: &Fault, status: sys::tb_status) -> Option<Argument> {
        let (name, least, value) = match self {
            Size::Keys(keys) => ("max_keys", "1 or more", keys),
            Size::Bytes(bytes) => ("max_bytes", "64 or more", bytes),
        };
        match (fault.field, status) {
            ("max_keys" | "max_bytes", sys::TB_E_INVALID_ARGUMENT) => Some(Argument::new(name, least, value)),
            ("max_keys" | "max_bytes", _) => Some(fault.argument(name, value)),
            _ => None,
        }
    }
}

/// What is beyond the library's numbers is beyond any memory, too.
fn bounded(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

impl TableConfig {
    /// A table with room for `max_keys` keys that are not full at one time, 24.6 bytes each. With that many in use 1 of
    /// some 20,000 new keys does not find room; beyond that it is ever more. `max_waiters` of the limit holds for each
    /// key.
    pub fn with_max_keys(limit: Config, max_keys: u64) -> TableConfig {
        TableConfig { limit, size: Size::Keys(max_keys), when_full: WhenFull::default() }
    }

    /// As [`with_max_keys`](TableConfig::with_max_keys), by the size in memory, 64 bytes or more.
    pub fn with_max_bytes(limit: Config, max_bytes: u64) -> TableConfig {
        TableConfig { limit, size: Size::Bytes(max_bytes), when_full: WhenFull::default() }
    }

    /// What becomes of a new key when there is no room for it, instead of [`WhenFull::EvictFullest`].
    pub fn when_full(self, when_full: WhenFull) -> TableConfig {
        TableConfig { when_full, ..self }
    }

    /// Creates the table.
    ///
    /// # Errors
    /// As [`Config::build`]. `InvalidArgument`: also no keys, or too few bytes. `OutOfRange`: also more memory than can
    /// be addressed. `Unsupported`: the limit has initial tokens, statistics or a handler of events. `System`: the
    /// operating system gives no random numbers.
    pub fn build(self) -> Result<Table, Error> {
        let (limit, callees) = self.limit.into_raw()?;
        let mut config = defaults()?;
        match self.size {
            Size::Keys(keys) => config.max_keys = bounded(keys),
            Size::Bytes(bytes) => config.max_bytes = bounded(bytes),
        }
        config.when_full = match self.when_full {
            WhenFull::EvictFullest => sys::TB_TABLE_EVICT_FULLEST,
            WhenFull::Deny => sys::TB_TABLE_DENY,
            WhenFull::Admit => sys::TB_TABLE_ADMIT,
        };
        let size = self.size;
        Table::create(&limit, &config, callees, |fault, status| size.argument(fault, status))
    }
}

fn defaults() -> Result<sys::tb_table_config, Error> {
    let mut config = MaybeUninit::uninit();
    // SAFETY: tb_table_config_init fills as many bytes as it is told, and did so if it succeeds.
    unsafe {
        check(sys::tb_table_config_init(config.as_mut_ptr(), size_of::<sys::tb_table_config>()))?;
        Ok(config.assume_init())
    }
}
