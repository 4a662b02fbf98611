//! ranvil's synchronisation under [loom](https://docs.rs/loom), which runs a model once for every interleaving of its
//! threads and every value that a load may see.
//!
//! What is checked is the library's own source file, made of loom's types instead of the standard library's. Each model
//! has siblings that are broken in one place and have to fail: a model that cannot fail proves nothing.

#![allow(clippy::duplicate_mod, reason = "of other types each time")]

#[cfg(test)]
mod exact;
#[cfg(test)]
mod relaxed;
#[cfg(test)]
mod torn;
#[cfg(test)]
mod word;
