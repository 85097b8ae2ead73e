use std::convert::TryFrom;
use std::mem::{size_of, MaybeUninit};

use tokenbucket_sys as sys;

use crate::config::Callees;
use crate::error::check;
use crate::fault::{error_of, Fault};
use crate::{Argument, Config, Error, Limit, Table};

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
    fn refused(self, fault: &Fault, status: sys::tb_status) -> Option<Argument> {
        let least = match self {
            Size::Keys(_) => "1 or more",
            Size::Bytes(_) => "64 or more",
        };
        match (fault.field, status) {
            ("max_keys" | "max_bytes", sys::TB_E_INVALID_ARGUMENT) => Some(self.argument(least)),
            ("max_keys" | "max_bytes", _) => Some(self.argument(fault.allowed)),
            _ => None,
        }
    }

    fn argument(self, allowed: &'static str) -> Argument {
        match self {
            Size::Keys(keys) => Argument::new("max_keys", allowed, keys),
            Size::Bytes(bytes) => Argument::new("max_bytes", allowed, bytes),
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
        let (raw, callees) = self.into_raw()?;
        Table::open(callees, false, |table| {
            // SAFETY: both configs and the output live for the call.
            match unsafe { sys::tb_table_create_with(&raw.limit, &raw.table, table) } {
                sys::TB_SUCCESS => Ok(()),
                status => Err(raw.refused(status)),
            }
        })
    }

    /// The C configs, which point into the callees.
    pub(crate) fn into_raw(self) -> Result<(RawTableConfig, Callees), Error> {
        let (limit, callees) = self.limit.into_raw()?;
        let mut table = defaults()?;
        match self.size {
            Size::Keys(keys) => table.max_keys = bounded(keys),
            Size::Bytes(bytes) => table.max_bytes = bounded(bytes),
        }
        table.when_full = match self.when_full {
            WhenFull::EvictFullest => sys::TB_TABLE_EVICT_FULLEST,
            WhenFull::Deny => sys::TB_TABLE_DENY,
            WhenFull::Admit => sys::TB_TABLE_ADMIT,
        };
        Ok((RawTableConfig { limit, table, size: self.size }, callees))
    }

    /// What of it is another than in the shared table with that limit, by the library's fault.
    pub(crate) fn difference(&self, fault: i32, found: &Limit) -> Argument {
        const AS_THERE: &str = "that of the shared table";
        match fault {
            sys::TB_SHARED_PLACES => self.size.argument(AS_THERE),
            sys::TB_SHARED_FULL => Argument::new("when_full", AS_THERE, format_args!("{:?}", self.when_full)),
            _ => self.limit.difference(found),
        }
    }
}

pub(crate) struct RawTableConfig {
    pub(crate) limit: sys::tb_config,
    pub(crate) table: sys::tb_table_config,
    size: Size,
}

impl RawTableConfig {
    /// Of configs that tb_table_create_with or its like refused. `Unknown`: not for their sake.
    pub(crate) fn refused(&self, status: sys::tb_status) -> Error {
        // SAFETY: both configs and the output live for the call.
        let fault = Fault::of(|fault| unsafe { sys::tb_table_config_check(&self.limit, &self.table, fault) });
        error_of(status, &self.limit, "a table", fault, |fault| self.size.refused(fault, status))
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
