//! The agent in every base.
fn main() {}
