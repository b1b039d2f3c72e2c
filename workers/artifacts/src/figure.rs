//! Figures in checkpoints and records: JSON knows no NaN and no infinity and writes `null`; these read it back as NaN, so
//! that a step with a broken figure does not make its checkpoint unreadable.

use serde::{Deserialize, Deserializer};

/// Reads a figure; `null` is NaN.
///
/// # Errors
/// When the value is neither a number nor `null`.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
