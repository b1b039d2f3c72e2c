//! Amounts of resources as Kubernetes writes them: memory (`2Gi`, `500M`, `1073741824`) and cores (`2`, `0.5`, `100m`).
//!
//! A manifest may write them as texts or as numbers. They are printed in one form each.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The pattern of quantities that are written as texts.
pub(crate) const QUANTITY: &str = "^[+]?([0-9]{1,19}([.][0-9]{0,9})?|[.][0-9]{1,9})(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?$";
/// The largest quantity that is written as a number: 8 PiB, or as many cores.
const LARGEST: u64 = 1 << 53;

/// A text or a number that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// Not an amount of memory.
    #[error("{0:?} is not a size; write it like 512Ki, 256Mi or 2Gi")]
    Size(String),
    /// Not a number of cores.
    #[error("{0:?} is not a number of cores; write it like 2, 0.5 or 500m")]
    Cores(String),
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// Powers of 1024 by which a size is printed.
const PRINTED: [(&str, u64); 3] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

impl Size {
    /// From bytes.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    #[must_use]
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = ResourceError;

    fn from_str(text: &str) -> Result<Self, ResourceError> {
        let bytes = thousandths(text).map(|amount| amount.div_ceil(1000));
        bytes
            .and_then(|bytes| u64::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| ResourceError::Size(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PRINTED
            .iter()
            .find(|(_, size)| self.0 != 0 && self.0.is_multiple_of(*size))
        {
            Some((suffix, size)) => write!(f, "{}{suffix}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A number of cores, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cores(u32);

impl Cores {
    /// From thousandths of a core.
    #[must_use]
    pub const fn thousandths(thousandths: u32) -> Self {
        Self(thousandths)
    }

    /// Returns the cores that a process can use: whole ones, at least one.
    #[must_use]
    pub fn whole(self) -> u32 {
        self.0.div_ceil(1000).max(1)
    }

    /// Returns the number of cores.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl FromStr for Cores {
    type Err = ResourceError;

    fn from_str(text: &str) -> Result<Self, ResourceError> {
        thousandths(text)
            .and_then(|amount| u32::try_from(amount).ok())
            .map(Self)
            .ok_or_else(|| ResourceError::Cores(text.to_owned()))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            _ => write!(f, "{}m", self.0),
        }
    }
}

/// Reads a quantity of Kubernetes in thousandths, rounded up: a decimal number, and behind it a power of 1000 or of 1024, or an
/// exponent.
fn thousandths(text: &str) -> Option<u128> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    let count: u128 = digits.parse().ok()?;
    let (exponent, factor) = unit(suffix)?;
    let exponent = exponent + 3 - i32::try_from(fraction.len()).ok()?;
    let count = count.checked_mul(factor)?;
    let power = 10u128.checked_pow(exponent.unsigned_abs());
    if exponent >= 0 {
        count.checked_mul(power?)
    } else {
        // Behind so many places there is nothing but rounding up.
        Some(power.map_or_else(|| u128::from(count > 0), |power| count.div_ceil(power)))
    }
}

/// Returns the power of ten and the factor of a suffix.
fn unit(suffix: &str) -> Option<(i32, u128)> {
    Some(match suffix {
        "" => (0, 1),
        "n" => (-9, 1),
        "u" => (-6, 1),
        "m" => (-3, 1),
        "k" => (3, 1),
        "M" => (6, 1),
        "G" => (9, 1),
        "T" => (12, 1),
        "P" => (15, 1),
        "E" => (18, 1),
        "Ki" => (0, 1 << 10),
        "Mi" => (0, 1 << 20),
        "Gi" => (0, 1 << 30),
        "Ti" => (0, 1 << 40),
        "Pi" => (0, 1 << 50),
        "Ei" => (0, 1 << 60),
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            ((-99..=99).contains(&exponent).then_some(exponent)?, 1)
        }
    })
}

/// Reads a quantity that is written as a text or as a number.
struct Written<T>(PhantomData<T>);

impl<T: FromStr<Err = ResourceError>> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity such as 2, 500m or 2Gi")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! quantity {
    ($type:ty, $name:literal, $description:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Written::<Self>(PhantomData))
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn inline_schema() -> bool {
                true
            }

            /// A schema without a type: `x-kubernetes-int-or-string` would refuse `0.5`, which Kubernetes takes for cores.
            /// [`crate::print`] adds that it is neither a map nor a list, nor true or false.
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "x-kubernetes-preserve-unknown-fields": true,
                    "pattern": QUANTITY,
                    "maxLength": 32,
                    "minimum": 0,
                    "maximum": LARGEST,
                    "description": $description,
                })
            }
        }
    };
}

quantity!(
    Size,
    "Size",
    "A number of bytes as Kubernetes writes quantities, such as 512Ki, 256Mi, 2Gi, 500M or 1073741824."
);
quantity!(
    Cores,
    "Cores",
    "A number of CPU cores as Kubernetes writes quantities, such as 2, 0.5 or 500m."
);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn sizes_are_read_as_kubernetes_reads_them_and_printed_with_binary_units() {
        for (text, bytes, printed) in [
            ("256Mi", 256 << 20, "256Mi"),
            ("64Ki", 64 << 10, "64Ki"),
            ("2Gi", 2 << 30, "2Gi"),
            ("1000", 1000, "1000"),
            ("0", 0, "0"),
            ("1.5Gi", 3 << 29, "1536Mi"),
            ("500M", 500_000_000, "500000000"),
            ("+1k", 1000, "1000"),
            ("1e9", 1_000_000_000, "1000000000"),
            ("2E3", 2000, "2000"),
            ("1Ti", 1 << 40, "1024Gi"),
            ("1E", 1_000_000_000_000_000_000, "976562500000000Ki"),
            ("100m", 1, "1"),
            (".5Ki", 512, "512"),
            ("3.", 3, "3"),
        ] {
            let size: Size = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                (size.as_bytes(), size.to_string().as_str()),
                (bytes, printed),
                "{text}"
            );
        }
        for wrong in [
            "",
            "Mi",
            "256MB",
            "-1",
            "1.2.3",
            "1 Gi",
            ".",
            "1e",
            "2gi",
            "1e-x",
            "99999999999999999999Gi",
            "16Ei",
        ] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn cores_are_read_from_texts_and_numbers() {
        let read = |value: Value| serde_json::from_value::<Cores>(value);
        for (written, thousandths, printed, whole) in [
            (json!(2), 2000, "2", 2),
            (json!("2"), 2000, "2", 2),
            (json!(0.5), 500, "500m", 1),
            (json!("100m"), 100, "100m", 1),
            (json!(1000.0), 1_000_000, "1000", 1000),
            (json!("1e3"), 1_000_000, "1000", 1000),
            (json!("1500m"), 1500, "1500m", 2),
            (json!("0.0001"), 1, "1m", 1),
        ] {
            let cores = read(written.clone()).unwrap();
            assert_eq!(cores, Cores::thousandths(thousandths), "{written}");
            assert_eq!(
                (cores.to_string().as_str(), cores.whole()),
                (printed, whole)
            );
        }
        for wrong in [
            json!(-1),
            json!(true),
            json!("two"),
            json!({}),
            json!("2 cores"),
            json!(1e9),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_quantity_that_is_read_fits_the_pattern_of_the_schema() {
        let schema = json!({"pattern": QUANTITY});
        let fits = |text: &str| jsonschema::is_valid(&schema, &json!(text));
        for text in [
            "2", "0.5", ".5", "3.", "+1", "100m", "1.5Gi", "500M", "1e3", "2E-3", "1E", "7n",
        ] {
            assert!(fits(text) && text.parse::<Size>().is_ok(), "{text}");
        }
        for text in ["", "-1", "Mi", "256MB", "1.2.3", "true", "2 Gi"] {
            assert!(!fits(text), "{text}");
        }
    }
}
