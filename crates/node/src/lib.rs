//! The chain nodes above a pool: JSON-RPC clients, and the embedded dev chain that answers the same RPC.
