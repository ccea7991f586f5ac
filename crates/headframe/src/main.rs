//! The program: command line, configuration, supervision of roles.

mod config;

fn main() {
    print!("{}", config::Config::example());
}
