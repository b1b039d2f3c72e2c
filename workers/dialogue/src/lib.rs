//! agoge-dialogue.
