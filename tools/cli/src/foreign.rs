//! Files of other programs.

use anyhow::{Error, anyhow};

/// What a file is and what restores it, by how it begins.
const FORMATS: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "gzip", "gzip -d"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "zstd -d"),
    (b"\x04\x22\x4d\x18", "LZ4", "lz4 -d"),
    (b"\x02\x21\x4c\x18", "LZ4 (legacy)", "lz4 -d"),
    (b"\xfd7zX", "xz", "xz -d"),
    (b"BZh", "bzip2", "bzip2 -d"),
];

/// Says which program to use where something else was found than a frame.
pub fn explain(error: Error) -> Error {
    let Some(&ranvil::Error::NotAFrame { offset, found }) = error.downcast_ref() else {
        return error;
    };
    let known = FORMATS.iter().find(|(magic, ..)| found.starts_with(magic));
    match (known, offset) {
        (None, _) => error,
        (Some((_, name, tool)), 0) => {
            anyhow!("not a ranvil file: this is {name} data; restore it with {tool}")
        }
        (Some((_, name, tool)), _) => {
            anyhow!(
                "not a ranvil frame: from byte {offset} on this is {name} data, for which there is {tool}"
            )
        }
    }
}
