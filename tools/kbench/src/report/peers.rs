//! Rows of other programs over the same data.

use anyhow::{Context, Result, ensure};

use crate::case::Direction;

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
    /// What its own program says is wrong with it: then it counts for nothing.
    pub remark: Option<String>,
}

impl Peer {
    pub fn speed(&self, direction: Direction) -> f64 {
        match direction {
            Direction::Encode => self.encode,
            Direction::Decode => self.decode,
        }
    }
}

/// Reads them; comments and a heading are left out.
///
/// # Errors
/// A line that is none of these, or no row at all.
pub fn parse(text: &str) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() || line.starts_with('#') || line.starts_with("codec\t") {
            continue;
        }
        peers.push(row(line).with_context(|| {
            let start: String = line.chars().take(60).collect();
            format!("this is no JSON, and no row of a peer (tab-separated as nvcomp_bench prints them): {start:?}")
        })?);
    }
    ensure!(!peers.is_empty(), "no row of a peer");
    Ok(peers)
}

fn row(line: &str) -> Option<Peer> {
    let fields: Vec<&str> = line.split('\t').collect();
    // Behind the last figure may stand what is wrong with it.
    let [name, chunk, _, ratio, encode, decode, remarks @ ..] = &fields[..] else { return None };
    // Neither a ratio nor GB/s of anything: a chart of such would have no end.
    let figure = |text: &str| text.parse().ok().filter(|v: &f64| (1e-9..=1e9).contains(v));
    Some(Peer {
        name: (*name).to_owned(),
        chunk: chunk.parse().ok().filter(|chunk| (1..=1 << 41).contains(chunk))?,
        ratio: figure(ratio)?,
        encode: figure(encode)?,
        decode: figure(decode)?,
        remark: (!remarks.is_empty()).then(|| remarks.join(" ")),
    })
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
        assert_eq!((peers[0].chunk, peers[0].decode), (65536, 1104.6));
        let remarks: Vec<_> = peers.iter().map(|peer| peer.remark.as_deref()).collect();
        assert_eq!(remarks, [None, Some("MISMATCH")]);
        let zero = "ANS\t0\t9\t0.6\t7\t11";
        let [nan, huge] = ["nan", "1e308"].map(|speed| format!("ANS\t65536\t9\t0.6\t{speed}\t11"));
        for bad in ["ANS 65536", "", "# nothing\n", zero, &nan, &huge] {
            assert!(parse(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
