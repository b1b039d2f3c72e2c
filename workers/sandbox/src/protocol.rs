//! Frames between a client and its sandbox process: a little-endian u32 length, then JSON.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Limits, Outcome, Overlay, Shapes};

/// Frames beyond this are refused: 512 MiB.
pub const MAX_FRAME: u64 = 512 << 20;

/// A client's request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// The first frame: the domain's data and tools, and the limits of every run.
    Init {
        /// The state, each collection in its form.
        state: Value,
        /// The forms of the collections that are not plain records by id.
        #[serde(default, skip_serializing_if = "Shapes::is_empty")]
        shapes: Shapes,
        /// The schema by which written records are normalised.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<Value>,
        /// The source of `tools.py`.
        tools: String,
        /// See [`Limits`].
        limits: Limits,
    },
    /// Calls a tool.
    Call {
        /// The episode.
        overlay: Overlay,
        /// The episode's clock.
        now: String,
        /// The tool.
        function: String,
        /// Its arguments by name.
        arguments: Map<String, Value>,
        /// The function that runs after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        then: Option<String>,
    },
    /// Runs a function of a program that may read the data and not write it.
    Check {
        /// The program.
        source: String,
        /// The function: it takes `calls` and `messages`.
        function: String,
        /// The state at the start.
        initial: Overlay,
        /// The state at the end.
        last: Overlay,
        /// The calls made.
        calls: Value,
        /// The dialogue.
        messages: Value,
        /// The episode's clock.
        now: String,
    },
}

/// The process's answer. The first frame is `Ready`, sent once the filter is in place.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// It is confined and has its data.
    Ready,
    /// It cannot start.
    Refused(String),
    /// A run ended.
    Done {
        /// The end of the run.
        outcome: Outcome,
        /// The episode after the run, for a call that returned.
        overlay: Option<Overlay>,
        /// The processor time that the run used.
        cpu: Duration,
        /// The number of times that a tool read the data or the clock.
        reads: u64,
    },
}

/// Writes one frame.
///
/// # Errors
/// When the writer fails, or the frame is longer than [`MAX_FRAME`].
pub fn write<T: Serialize>(to: &mut impl Write, frame: &T) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame)?;
    let length = (u32::try_from(bytes.len() - 4).ok())
        .filter(|length| u64::from(*length) <= MAX_FRAME)
        .ok_or_else(|| io::Error::other("the frame is too long"))?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads one frame; `None` at the end of input.
///
/// # Errors
/// When the reader fails, the input ends within a frame, or the frame is not a `T`.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u64::from(u32::from_le_bytes(length));
    if length > MAX_FRAME {
        return Err(io::Error::other("the frame is too long"));
    }
    // The buffer grows with what arrives: a length that is only claimed takes no memory.
    let mut bytes = Vec::new();
    let arrived = from.by_ref().take(length).read_to_end(&mut bytes)?;
    if (arrived as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}
