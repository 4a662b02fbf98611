//! Rows of other programs over the same data.

use anyhow::{Context, Result};

/// A codec of a peer, as `nvcomp_bench` prints it: tab-separated `codec`, `chunk`, `raw`, `ratio`, and GB/s of raw bytes for
/// compression and decompression, timed on the device with the data in its memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Peer {
    pub name: String,
    /// Bytes that are coded by themselves: what a block is here.
    pub chunk: u64,
    pub ratio: f64,
    pub encode: f64,
    pub decode: f64,
}

/// Reads them; comments, a heading and rows marked as not verified are left out.
///
/// # Errors
/// A line that is none of these.
pub fn parse(text: &str) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() || line.starts_with('#') || line.starts_with("codec\t") {
            continue;
        }
        let row = row(line).with_context(|| format!("no row of a peer: {line:?}"))?;
        peers.extend(row);
    }
    Ok(peers)
}

/// `None` within if the row does not count.
fn row(line: &str) -> Option<Option<Peer>> {
    let fields: Vec<&str> = line.split('\t').collect();
    // Behind the last figure may stand what is wrong with it.
    let [name, chunk, _, ratio, encode, decode, remarks @ ..] = &fields[..] else { return None };
    let peer = Peer {
        name: (*name).to_owned(),
        chunk: chunk.parse().ok()?,
        ratio: ratio.parse().ok()?,
        encode: encode.parse().ok()?,
        decode: decode.parse().ok()?,
    };
    Some(remarks.is_empty().then_some(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_nvcomp_bench_are_read() {
        let text = "# device copy: 4221.0 GB/s read+write\n\
            codec\tchunk\traw\tratio\tcompress_GBps\tdecompress_GBps\n\
            ANS\t65536\t1073741824\t0.6626\t725.5\t1104.6\n\
            ANS\t262144\t1073741824\t0.6466\t741.1\t1216.6\tMISMATCH\n";
        let peers = parse(text).unwrap();
        assert_eq!(peers.len(), 1, "a wrong result has no speed");
        assert_eq!((peers[0].chunk, peers[0].decode), (65536, 1104.6));
        assert!(parse("ANS 65536").is_err());
    }
}
