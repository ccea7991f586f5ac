//! Every byte that crosses the network, parsed and built once.
