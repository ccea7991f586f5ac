//! The program: command line, configuration, supervision of roles.
fn main() {}
