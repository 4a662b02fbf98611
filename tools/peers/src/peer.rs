//! The codecs that are compared.

use anyhow::{Result, bail};
use ranvil::{
    Simd,
    coder::{Coder, Encoded},
    format::BlockKind,
    model::{LzCoder, LzParams, Model},
};

/// Encodes a file and keeps the result to decode it again. Memory is reused between calls.
pub trait Codec {
    fn name(&self) -> &'static str;
    /// Bytes of the result.
    fn encode(&mut self, raw: &[u8]) -> Result<usize>;
    /// Decodes what was encoded last.
    fn decode(&mut self, raw: &mut [u8]) -> Result<()>;
}

/// Chunks of a file, coded one by one.
#[derive(Default)]
struct Chunks<T> {
    size: usize,
    coded: Vec<(T, Vec<u8>)>,
}

impl<T: Default> Chunks<T> {
    /// `log` 0: one chunk.
    fn new(log: u8) -> Self {
        Self { size: if log == 0 { usize::MAX } else { 1 << log }, coded: Vec::new() }
    }

    fn encode(
        &mut self,
        raw: &[u8],
        mut encode: impl FnMut(&[u8], &mut Vec<u8>) -> Result<T>,
    ) -> Result<usize> {
        let mut number = 0;
        for chunk in raw.chunks(self.size.min(raw.len().max(1))) {
            if self.coded.len() == number {
                self.coded.push(Default::default());
            }
            let (info, out) = &mut self.coded[number];
            *info = encode(chunk, out)?;
            number += 1;
        }
        self.coded.truncate(number);
        Ok(self.coded.iter().map(|(_, bytes)| bytes.len()).sum())
    }

    fn decode(
        &self,
        raw: &mut [u8],
        mut decode: impl FnMut(&T, &[u8], &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let size = self.size.min(raw.len().max(1));
        for ((info, bytes), chunk) in self.coded.iter().zip(raw.chunks_mut(size)) {
            decode(info, bytes, chunk)?;
        }
        Ok(())
    }
}

pub struct Ranvil {
    coder: LzCoder,
    params: LzParams,
    chunks: Chunks<(BlockInfo, u32)>,
}

struct BlockInfo(Encoded);

impl Default for BlockInfo {
    fn default() -> Self {
        Self(Encoded { kind: BlockKind::Stored, table_log: 0 })
    }
}

impl Ranvil {
    pub fn new(pipeline: &str, level: u8, block_log: u8, segment_log: u8) -> Result<Self> {
        let (model, coders): (_, &[Coder]) = match pipeline {
            "lzr" => (Model::Lz77, &[Coder::Rans]),
            "lzf" => (Model::Lz77, &[Coder::Fse, Coder::Huffman]),
            "lzh" => (Model::Lz77, &[Coder::Huffman]),
            "lzseqr" => (Model::LzSeq, &[Coder::Rans]),
            "lzseqf" => (Model::LzSeq, &[Coder::Fse, Coder::Huffman]),
            _ => bail!("{pipeline:?} is no LZ pipeline"),
        };
        let params = LzParams { model, coders, level, segment_log };
        Ok(Self { coder: LzCoder::new(Simd::Auto)?, params, chunks: Chunks::new(block_log) })
    }
}

impl Codec for Ranvil {
    fn name(&self) -> &'static str {
        "ranvil"
    }

    fn encode(&mut self, raw: &[u8]) -> Result<usize> {
        let (coder, params) = (&mut self.coder, &self.params);
        let payloads = self.chunks.encode(raw, |raw, out| {
            let encoded = coder.encode(raw, params, out);
            if encoded.kind == BlockKind::Stored {
                out.extend_from_slice(raw);
            }
            Ok((BlockInfo(encoded), crc32c::crc32c(raw)))
        })?;
        // Headers, index, frame header, end mark and footer.
        Ok(payloads + 24 * self.chunks.coded.len() + 72)
    }

    fn decode(&mut self, raw: &mut [u8]) -> Result<()> {
        let (coder, params) = (&mut self.coder, &self.params);
        self.chunks.decode(raw, |(info, crc), bytes, raw| {
            match info.0.kind {
                BlockKind::Stored => raw.copy_from_slice(bytes),
                BlockKind::Single => raw.fill(bytes[0]),
                BlockKind::Coded => coder.decode(bytes, params.model, params.segment_log, raw)?,
            }
            if crc32c::crc32c(raw) != *crc {
                bail!("checksum");
            }
            Ok(())
        })
    }
}

pub struct Zstd {
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
    chunks: Chunks<()>,
}

impl Zstd {
    pub fn new(level: u8, chunk_log: u8) -> Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(level.into())?;
        // As the command does; ranvil's blocks have theirs.
        compressor.include_checksum(true)?;
        Ok(Self {
            compressor,
            decompressor: zstd::bulk::Decompressor::new()?,
            chunks: Chunks::new(chunk_log),
        })
    }
}

impl Codec for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn encode(&mut self, raw: &[u8]) -> Result<usize> {
        let compressor = &mut self.compressor;
        self.chunks.encode(raw, |raw, out| {
            out.clear();
            out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
            compressor.compress_to_buffer(raw, out)?;
            Ok(())
        })
    }

    fn decode(&mut self, raw: &mut [u8]) -> Result<()> {
        let decompressor = &mut self.decompressor;
        self.chunks.decode(raw, |(), bytes, raw| {
            decompressor.decompress_to_buffer(bytes, raw)?;
            Ok(())
        })
    }
}

/// The block format; level 1 is the fast mode, higher ones are its high compression mode.
pub struct Lz4 {
    level: u8,
    chunks: Chunks<()>,
}

impl Lz4 {
    pub fn new(level: u8, chunk_log: u8) -> Self {
        Self { level, chunks: Chunks::new(chunk_log) }
    }
}

impl Codec for Lz4 {
    fn name(&self) -> &'static str {
        "lz4"
    }

    fn encode(&mut self, raw: &[u8]) -> Result<usize> {
        use lz4::block::{CompressionMode, compress_bound, compress_to_buffer};
        let mode = match self.level {
            1 => CompressionMode::DEFAULT,
            level => CompressionMode::HIGHCOMPRESSION(level.into()),
        };
        self.chunks.encode(raw, |raw, out| {
            out.resize(compress_bound(raw.len())?, 0);
            let size = compress_to_buffer(raw, Some(mode), false, out)?;
            out.truncate(size);
            Ok(())
        })
    }

    fn decode(&mut self, raw: &mut [u8]) -> Result<()> {
        self.chunks.decode(raw, |(), bytes, raw| {
            lz4::block::decompress_to_buffer(bytes, Some(raw.len() as i32), raw)?;
            Ok(())
        })
    }
}
