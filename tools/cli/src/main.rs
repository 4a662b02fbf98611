//! The command `ranvil`.
fn main() {}
