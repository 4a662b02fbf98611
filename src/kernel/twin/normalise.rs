//! Twin of `kernels/normalise.comp`.

use super::write_cums;
use crate::{
    coder::{Coder, table::Table},
    format::BlockKind,
    kernel::{
        generated::{EncodeBlock, EncodeInfo},
        plan::TABLE_WORDS,
    },
};

pub fn run(_: &[u8], buffers: &mut [&mut [u32]]) {
    make_tables(&[Coder::Rans, Coder::Fse], buffers, |table, entries| match table.coder() {
        Coder::Rans => {
            for (symbol, f, cum) in table.symbols() {
                entries[2 * usize::from(symbol)..][..2].copy_from_slice(&entry(f, cum));
            }
        }
        _ => write_cums(table, entries),
    });
}

/// Makes the tables of all blocks with one of these coders; `write` writes the encoder's entries, zero so far.
pub(super) fn make_tables(
    coders: &[Coder],
    buffers: &mut [&mut [u32]],
    write: impl Fn(&Table, &mut [u32]),
) {
    let [blocks, histograms, infos, tables, entries] = buffers else { panic!("five buffers") };
    let blocks: &[EncodeBlock] = bytemuck::cast_slice(blocks);
    let infos: &mut [EncodeInfo] = bytemuck::cast_slice_mut(infos);
    for (number, block) in blocks.iter().enumerate() {
        let coder = Coder::ALL[block.coder as usize];
        if !coders.contains(&coder) {
            continue;
        }
        // The chunks of a block end where those of the next begin.
        let chunks =
            blocks.get(number + 1).map_or(histograms.len() / 256, |next| next.chunk as usize);
        let mut counts = [0; 256];
        for (at, &count) in histograms[256 * block.chunk as usize..256 * chunks].iter().enumerate()
        {
            counts[at % 256] += count;
        }
        if counts.iter().filter(|&&count| count > 0).count() < 2 {
            infos[number] =
                EncodeInfo { kind: BlockKind::Single as u32, table_log: 0, table_size: 0 };
            continue;
        }
        let forced_log = (block.forced_log > 0).then_some(block.forced_log as u8);
        let table = Table::from_counts(&counts, coder, forced_log);

        let own = &mut entries[512 * number..][..if coder == Coder::Rans { 512 } else { 256 }];
        own.fill(0);
        write(&table, own);
        let mut written = Vec::with_capacity(4 * TABLE_WORDS);
        table.write(&mut written);
        let table_size = written.len() as u32;
        written.resize(4 * TABLE_WORDS, 0);
        let own = &mut tables[TABLE_WORDS * number..][..TABLE_WORDS];
        bytemuck::cast_slice_mut(own).copy_from_slice(&written);
        let (kind, table_log) = (BlockKind::Coded as u32, table.log().into());
        infos[number] = EncodeInfo { kind, table_log, table_size };
    }
}

/// What the encoder knows of a symbol: see `entry` of the kernel.
fn entry(f: u32, cum: u32) -> [u32; 2] {
    let s = f.ilog2();
    let (m, a) = if f.is_power_of_two() {
        (u32::MAX, 1)
    } else {
        let (quotient, rest) =
            ((1_u64 << (32 + s)) / u64::from(f), (1_u64 << (32 + s)) % u64::from(f));
        let up = u64::from(f) - rest <= 1 << s;
        ((quotient + u64::from(up)) as u32, u32::from(!up))
    };
    [m, f << 20 | cum << 8 | s << 4 | a]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around every multiple of f and of 2^16 a quotient could be off by one; these are the places where it shows.
    #[test]
    fn division_is_exact() {
        for f in 1..4096_u32 {
            let [m, fields] = entry(f, 0);
            let (a, s) = (u64::from(fields & 1), fields >> 4 & 15);
            // x is below f << (32 - K) < 2^32 - 2^20.
            let most = u32::MAX - (1 << 20);
            for base in
                [f, 1 << 16, 1 << 20, 1 << 24, 1 << 28, 1 << 31, most / f * f, most / 2 / f * f]
            {
                for x in base.saturating_sub(2)..=base.saturating_add(2).min(most) {
                    let quotient = (((u64::from(x) + a) * u64::from(m)) >> 32) as u32 >> s;
                    assert_eq!(quotient, x / f, "{x} / {f}");
                }
            }
        }
    }

    /// `divisor` of `encode_rans.comp`: m, s and what is added to x + (x / f) w, for one addend in all entries of a block.
    fn divisor(f: u32, addend: u32, table_log: u32) -> (u32, u32, u32) {
        let [m, fields] = entry(f, 0);
        let s = fields >> 4 & 15;
        match (fields & 1, addend) {
            (own, addend) if own == addend => (m, s, 0),
            (_, 1) => (m - 1, s, 0),
            _ if !f.is_power_of_two() => (m + 1, s, 0),
            _ if s > 0 => (1 << 31, s - 1, 0),
            _ => (m, s, (1 << table_log) - 1),
        }
    }

    #[test]
    fn a_block_can_have_one_addend() {
        for table_log in 1..=12_u32 {
            for f in 1..1 << table_log {
                let own = entry(f, 0)[1] & 1;
                let addends = if f > 1 << (table_log - 1) { own..=own } else { 0..=1 };
                for addend in addends {
                    let (m, s, bias) = divisor(f, addend, table_log);
                    // x is at least 2^16 / 2^K f or so, and below f << (32 - K).
                    let most = (1 << (32 - table_log)) - 1;
                    for q in [1, 2, 16, most / 3, most / 2, most / 2 + 1, most - 1, most] {
                        for r in [0, 1 % f, f / 2, f - 1] {
                            let x = q * f + r;
                            let product = (u64::from(x) + u64::from(addend)) * u64::from(m);
                            let grown = ((product >> 32) as u32 >> s) * ((1 << table_log) - f);
                            let state = x.wrapping_add(bias).wrapping_add(grown);
                            assert_eq!(state, (q << table_log) + r, "{x}, {f}, {addend}");
                        }
                    }
                }
            }
        }
    }
}
