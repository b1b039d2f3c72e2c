//! agoge-llm.
