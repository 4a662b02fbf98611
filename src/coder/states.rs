//! What a segment begins with: its lanes' initial states, each with as many bits as it has, and the gap behind them
//! (`docs/FORMAT.md`, section 2.3).

use super::{
    lanes::{LANES, Layout},
    scalar::LaneCoder,
};
use crate::block::Coder;

/// Bits of the gap's size, the first of the bit string.
pub(super) const GAP_BITS: u32 = u8::BITS;
/// The longest gap, in words.
const MOST_GAP: u8 = 31;
/// The most bytes of states, whatever the coder.
pub(super) const BOUND: usize = Layout::of(Coder::Fse).states_bound();
/// Bytes that hold every bit string, with 8 behind each place in it.
const STRING: usize = Layout::MAX_STATE_BITS as usize * LANES / 8 + 16;

/// An initial state: the low `count` bits of `bits`, the others zero. Its length is what is known of `count` before the state is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// At least [`Layout::least`], by less than 2^[`Layout::planes`].
    pub length: u32,
    /// The bits.
    pub bits: u64,
    /// How many: the length and [`LaneCoder::cell_bits`].
    pub count: u32,
}

/// Bytes of a coder's lengths and of a bit string of so many bits, whole words.
fn size(layout: Layout, bits: u32) -> usize {
    4 * layout.planes + (bits.div_ceil(8) as usize).next_multiple_of(layout.word)
}

/// A byte that is 1 in each of eight.
const ONES: u64 = 0x0101_0101_0101_0101;

/// Bits of each byte of a number, lowest bit to lowest byte: 0 or 1 a byte.
fn spread(bits: u8) -> u64 {
    let own = (u64::from(bits) * ONES) & 0x8040_2010_0804_0201;
    ((own + 0x7f7f_7f7f_7f7f_7f7f) >> 7) & ONES
}

/// Undoes [`spread`].
fn gather(bytes: u64) -> u8 {
    (bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

/// Writes the states, without a gap; returns how many bytes of `out`, [`BOUND`], they take.
pub(super) fn write<C: LaneCoder>(
    table_log: u32,
    lanes: &[C::Lane; LANES],
    out: &mut [u8; BOUND],
) -> usize {
    let layout = C::LAYOUT;
    let states = lanes.map(|lane| C::state(table_log, lane));
    let (planes, string) = out.split_at_mut(4 * layout.planes);
    let above = states.map(|state| (state.length - layout.least) as u8);
    for (eight, lanes) in above.as_chunks::<8>().0.iter().enumerate() {
        let lengths = u64::from_le_bytes(*lanes);
        for (b, plane) in planes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            plane[eight] = gather((lengths >> b) & ONES);
        }
    }
    let (mut pending, mut count, mut at) = (0_u128, GAP_BITS, 0);
    for state in states {
        pending |= u128::from(state.bits) << count;
        count += state.count;
        while count >= u32::BITS {
            string[at..at + 4].copy_from_slice(&(pending as u32).to_le_bytes());
            at += 4;
            pending >>= u32::BITS;
            count -= u32::BITS;
        }
    }
    let size = size(layout, 8 * at as u32 + count);
    let last = size - 4 * layout.planes - at;
    string[at..at + last].copy_from_slice(&(pending as u32).to_le_bytes()[..last]);
    size
}

/// Bytes of the states at the front of a segment that an encoder wrote.
pub(super) fn written(layout: Layout, cell_bits: u32, segment: &[u8]) -> usize {
    let planes: &[[u8; 4]] = segment[..4 * layout.planes].as_chunks().0;
    let ones = planes.iter().map(|&plane| u32::from_le_bytes(plane).count_ones());
    let above: u32 = ones.zip(0..).map(|(ones, b)| ones << b).sum();
    size(layout, GAP_BITS + above + LANES as u32 * (layout.least + cell_bits))
}

/// Where the gap's size, in words, is written in a segment.
pub(super) const fn gap_place(layout: Layout) -> usize {
    4 * layout.planes
}

/// Reads the states at the front of a segment, and how many bytes they and the gap take. `None` if that is more than there
/// is or may be, or if bits that have to be zero are not.
pub(crate) fn read<C: LaneCoder>(
    table_log: u32,
    segment: &[u8],
) -> Option<([C::Lane; LANES], usize)> {
    let layout = C::LAYOUT;
    let planes: &[[u8; 4]] = segment.get(..4 * layout.planes)?.as_chunks().0;
    let mut above = [0; LANES];
    for (eight, lanes) in above.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let bits = planes.iter().zip(0..).map(|(plane, b)| spread(plane[eight]) << b);
        *lanes = bits.sum::<u64>().to_le_bytes();
    }
    let cell_bits = C::cell_bits(table_log);
    let bits = GAP_BITS
        + above.iter().map(|&above| u32::from(above)).sum::<u32>()
        + LANES as u32 * (layout.least + cell_bits);
    let string = 4 * layout.planes;
    let own = segment.get(string..size(layout, bits))?;
    // Eight bytes are read at each place: from a copy if there are none behind.
    let mut copy = [0; STRING];
    let source = match segment.get(string..string + own.len() + 8) {
        Some(source) => source,
        None => {
            copy[..own.len()].copy_from_slice(own);
            &copy[..]
        }
    };
    let take = |at: u32, count: u32| {
        let from = &source[at as usize / 8..];
        let word = u64::from_le_bytes(*from.first_chunk().expect("8 bytes behind each place"));
        word >> (at % 8) & ((1 << count) - 1)
    };
    let mut at = GAP_BITS;
    let lanes = above.map(|above| {
        let length = layout.least + u32::from(above);
        let count = length + cell_bits;
        at += count;
        C::initial(table_log, State { length, bits: take(at - count, count), count })
    });
    let begin = string + own.len();
    let gap = segment.get(begin..begin + layout.word * usize::from(own[0]))?;
    let padding = take(at, 8 * own.len() as u32 - at);
    let zeros = padding == 0 && gap.iter().all(|&byte| byte == 0);
    (zeros && own[0] <= MOST_GAP).then_some((lanes, begin + gap.len()))
}
