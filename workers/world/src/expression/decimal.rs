//! Exact decimals with checked arithmetic.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

/// Digits after the point of a quotient.
const OF_QUOTIENT: u32 = 12;
/// Digits after the point that a number may have.
const MOST: u32 = 30;

/// `mantissa` / 10^`scale`, without needless zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl From<i64> for Decimal {
    fn from(whole: i64) -> Self {
        Self::new(i128::from(whole), 0)
    }
}

impl Decimal {
    fn new(mantissa: i128, scale: u32) -> Self {
        let (mut mantissa, mut scale) = (mantissa, scale);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// Reads `12`, `-0.5` or `1e-3`; `None` for any other text and for a number that is too large or too small.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let read = Self::new(mantissa, u32::try_from(fraction.len()).ok()?);
        let scale = i64::from(read.scale).checked_sub(i64::from(exponent))?;
        match u32::try_from(scale) {
            Ok(scale) if scale <= MOST => Some(Self::new(read.mantissa, scale)),
            Ok(_) => None,
            Err(_) => {
                let up = u32::try_from(scale.checked_neg()?).ok()?;
                Some(Self::new(
                    read.mantissa.checked_mul(10_i128.checked_pow(up)?)?,
                    0,
                ))
            }
        }
    }

    /// Reads a number of JSON.
    pub(super) fn of(number: &Number) -> Option<Self> {
        Self::parse(&number.to_string())
    }

    /// Returns it as a number of JSON: whole where it is.
    pub(super) fn to_value(self) -> Option<Value> {
        match i64::try_from(self.mantissa) {
            Ok(whole) if self.scale == 0 => Some(Value::from(whole)),
            _ => Number::from_f64(self.to_string().parse().ok()?).map(Value::Number),
        }
    }

    /// Returns it as a whole number, where it is one.
    pub(super) fn whole(self) -> Option<i64> {
        i64::try_from(self.mantissa)
            .ok()
            .filter(|_| self.scale == 0)
    }

    /// Both mantissas at one scale.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let up = |one: Self| {
            one.mantissa
                .checked_mul(10_i128.checked_pow(scale - one.scale)?)
        };
        Some((up(self)?, up(other)?, scale))
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self::new(a.checked_add(b)?, scale))
    }

    pub(super) fn negated(self) -> Option<Self> {
        Some(Self::new(self.mantissa.checked_neg()?, self.scale))
    }

    pub(super) fn subtract(self, other: Self) -> Option<Self> {
        self.add(other.negated()?)
    }

    pub(super) fn multiply(self, other: Self) -> Option<Self> {
        let product = Self::new(
            self.mantissa.checked_mul(other.mantissa)?,
            self.scale.checked_add(other.scale)?,
        );
        (product.scale <= MOST).then_some(product)
    }

    /// The quotient, rounded to 12 digits after the point. The divisor is not zero.
    pub(super) fn divide(self, other: Self) -> Option<Self> {
        let (a, b, _) = self.aligned(other)?;
        let dividend = a.checked_mul(10_i128.checked_pow(OF_QUOTIENT)?)?;
        Some(Self::new(rounded(dividend, b)?, OF_QUOTIENT))
    }

    /// The remainder, with the sign of the divisor, as Python has it. The divisor is not zero.
    pub(super) fn remainder(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        let rest = a.checked_rem(b)?;
        let rest = match rest != 0 && (rest < 0) != (b < 0) {
            true => rest.checked_add(b)?,
            false => rest,
        };
        Some(Self::new(rest, scale))
    }

    /// Rounds to so many digits after the point, a half away from zero.
    pub(super) fn round(self, digits: u32) -> Option<Self> {
        if digits >= self.scale {
            return Some(self);
        }
        let unit = 10_i128.checked_pow(self.scale - digits)?;
        Some(Self::new(rounded(self.mantissa, unit)?, digits))
    }

    pub(super) fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    pub(super) fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match self.aligned(other) {
            Some((a, b, _)) => a.cmp(&b),
            // One is so much larger that a common scale does not hold both.
            None => self.rough().total_cmp(&other.rough()),
        }
    }

    fn rough(self) -> f64 {
        self.mantissa as f64 / 10_f64.powi(i32::try_from(self.scale).unwrap_or(i32::MAX))
    }
}

/// Divides and rounds a half away from zero.
fn rounded(dividend: i128, divisor: i128) -> Option<i128> {
    let quotient = dividend.checked_div(divisor)?;
    let rest = dividend.checked_rem(divisor)?;
    let twice = rest.unsigned_abs().checked_mul(2)?;
    if twice < divisor.unsigned_abs() {
        return Some(quotient);
    }
    match (dividend < 0) == (divisor < 0) {
        true => quotient.checked_add(1),
        false => quotient.checked_sub(1),
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = self.scale as usize;
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}
