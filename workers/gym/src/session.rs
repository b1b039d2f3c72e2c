//! A session's id, which is all that one must know to use it.

use std::fmt;
use std::str::FromStr;

use rand::TryRngCore as _;
use rand::rngs::OsRng;

use crate::refused::Refused;

/// 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// Draws an id from the operating system.
    ///
    /// # Errors
    /// [`Refused::Lost`] when the system has no random numbers to give.
    pub fn draw() -> Result<Self, Refused> {
        let mut bytes = [0; 16];
        OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
            Refused::Lost(format!("the system gives no random numbers: {error}"))
        })?;
        Ok(Self(u128::from_le_bytes(bytes)))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    /// An id opens its session, so no log shows it whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:08x}..)", self.0 >> 96)
    }
}

impl FromStr for SessionId {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.then(|| u128::from_str_radix(text, 16).ok());
        id.flatten().map(Self).ok_or(Refused::NoSession)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nothing_else_is_read() {
        let id = SessionId::draw().unwrap();
        assert_ne!(id, SessionId::draw().unwrap());
        assert_eq!(id.to_string().parse(), Ok(id));
        let long = format!("+{}", &id.to_string()[1..]);
        for wrong in [
            "",
            "1",
            "é",
            long.as_str(),
            "0x000000000000000000000000000001",
        ] {
            assert_eq!(wrong.parse::<SessionId>(), Err(Refused::NoSession));
        }
        assert!(!format!("{id:?}").contains(&id.to_string()));
    }
}
