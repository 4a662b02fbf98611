//! Entropy coders on the CPU.
