//! The client roles: announcement miner and block miner.
