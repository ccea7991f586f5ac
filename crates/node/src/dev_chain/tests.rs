//! The dev chain as a whole.
