//! Bit strings, least significant bit first.

/// Writes bits.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, count: 0 }
    }

    /// At most 32 bits.
    pub fn put(&mut self, value: u32, width: u32) {
        self.pending |= u64::from(value) << self.count;
        self.count += width;
        if self.count >= 32 {
            self.out.extend((self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    pub fn finish(self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out.extend(&self.pending.to_le_bytes()[..bytes]);
    }
}

/// Reads bits.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    pending: u32,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, count: 0 }
    }

    pub fn take(&mut self, width: u32) -> Option<u32> {
        while self.count < width {
            let (&byte, rest) = self.bytes.split_first()?;
            self.pending |= u32::from(byte) << self.count;
            self.count += 8;
            self.bytes = rest;
        }
        let value = self.pending & ((1 << width) - 1);
        self.pending >>= width;
        self.count -= width;
        Some(value)
    }

    /// What follows the last byte that was begun, if that byte's unused bits are zero.
    pub fn finish(self) -> Option<&'a [u8]> {
        (self.pending == 0).then_some(self.bytes)
    }
}
