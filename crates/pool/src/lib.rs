//! The server roles of a pool, one module each.
