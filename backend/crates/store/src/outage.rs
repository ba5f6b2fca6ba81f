//! Tells a database that does not serve at the moment from a fault, by SQLSTATE and SQLite's result codes, never by the words of a message.

use sea_orm::sqlx::Error;
use sea_orm::{DbErr, RuntimeErr};

/// Why the database does not serve at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// It cannot be reached, or did not answer in time.
    Unreachable,
    /// Its disk is full.
    DiskFull,
    /// It refuses writes, as a standby or a file without write permission does.
    ReadOnly,
    /// Its disk fails.
    DiskFault,
    /// Others hold what is asked for, or all connections are in use.
    Busy,
    /// It starts, stops or lacks memory.
    Restarting,
    /// It refuses the connection or the right to write.
    Refused,
}

impl Outage {
    /// A sentence for whoever asked.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Unreachable => "The database does not answer. Try again after the time in Retry-After.",
            Self::DiskFull => "The database's disk is full. Writes are refused until the operator frees space.",
            Self::ReadOnly => "The database is read-only. Writes are refused until the operator makes it writable.",
            Self::DiskFault => "The database's disk failed. The request was not carried out; try again.",
            Self::Busy => "The database is busy. Try again after the time in Retry-After.",
            Self::Refused => {
                "The database refuses access. Requests fail until the operator restores the database's name, login or rights."
            }
            Self::Restarting => "The database is restarting. Try again after the time in Retry-After.",
        }
    }

    /// The outage that an error tells of; none where it is a fault.
    #[must_use]
    pub(crate) fn of(error: &DbErr) -> Option<Self> {
        match error {
            DbErr::ConnectionAcquire(_) => Some(Self::Busy),
            // Whatever keeps it from connecting, there is no connection.
            DbErr::Conn(RuntimeErr::SqlxError(error)) => Self::of_driver(error).or(Some(Self::Refused)),
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
                Self::of_driver(error)
            }
            _ => None,
        }
    }

    /// The outage that an error of the driver tells of.
    #[must_use]
    pub(crate) fn of_driver(error: &Error) -> Option<Self> {
        match error {
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => Some(Self::Unreachable),
            Error::PoolTimedOut | Error::PoolClosed => Some(Self::Busy),
            Error::Database(error) => {
                let code = error.code()?;
                match code.parse::<u32>() {
                    // SQLSTATE has five characters; SQLite's extended codes of these kinds have fewer.
                    Ok(number) if code.len() < 5 => Self::of_sqlite(number),
                    _ => Self::of_sqlstate(&code),
                }
            }
            _ => None,
        }
    }

    /// <https://www.sqlite.org/rescode.html>: the lower byte is the primary code.
    const fn of_sqlite(code: u32) -> Option<Self> {
        match code & 0xff {
            5 | 6 | 9 | 15 => Some(Self::Busy),
            7 => Some(Self::Restarting),
            8 => Some(Self::ReadOnly),
            10 => Some(Self::DiskFault),
            13 => Some(Self::DiskFull),
            14 => Some(Self::Unreachable),
            _ => None,
        }
    }

    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn of_sqlstate(code: &str) -> Option<Self> {
        match code {
            "53100" => Some(Self::DiskFull),
            "25006" => Some(Self::ReadOnly),
            "58030" => Some(Self::DiskFault),
            // Cancelled by its deadline, lock not had in time, deadlock, serialisation, connections used up.
            "57014" | "55P03" | "40P01" | "40001" | "53300" => Some(Self::Busy),
            // Shutdown, crash, not yet started, memory; a transaction that idled for too long was ended.
            "57P01" | "57P02" | "57P03" | "53000" | "53200" | "25P03" | "57P05" => Some(Self::Restarting),
            "42501" | "3D000" => Some(Self::Refused),
            _ if code.starts_with("28") => Some(Self::Refused),
            _ if code.starts_with("08") => Some(Self::Unreachable),
            _ => None,
        }
    }
}

/// Whether SQLite may have ended the transaction in which this error came, so that what follows would be outside of it.
pub(crate) fn may_end_transaction(error: &Error) -> bool {
    const ERROR: u32 = 1;
    const CONSTRAINT: u32 = 19;
    let Error::Database(error) = error else { return true };
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    !code.is_some_and(|code| matches!(code & 0xff, ERROR | CONSTRAINT))
}

#[cfg(test)]
mod tests {
    use super::Outage;

    #[test]
    fn codes_tell_outages_from_faults() {
        assert_eq!(Outage::of_sqlite(13), Some(Outage::DiskFull));
        assert_eq!(Outage::of_sqlite(10 | (4 << 8)), Some(Outage::DiskFault));
        assert_eq!(Outage::of_sqlite(5 | (2 << 8)), Some(Outage::Busy));
        assert_eq!(Outage::of_sqlite(19 | (8 << 8)), None);
        assert_eq!(Outage::of_sqlstate("57P01"), Some(Outage::Restarting));
        assert_eq!(Outage::of_sqlstate("25006"), Some(Outage::ReadOnly));
        assert_eq!(Outage::of_sqlstate("08006"), Some(Outage::Unreachable));
        assert_eq!(Outage::of_sqlstate("23505"), None);
        assert_eq!(Outage::of_sqlstate("42601"), None);
    }
}
