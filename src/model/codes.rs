//! Codes of the values in sequences, `docs/FORMAT.md`, section 3.1: small values are codes themselves; of a larger one the
//! code has the exponent and the next two bits, and what is left are its extra bits. (Like the codes of RFC 8878, section
//! 3.1.1.3.2.1, but finer.)

/// Literal runs.
pub const RUN: Codes = Codes { direct: 4, first: 0, least: 0 };
/// Lengths of matches.
pub const LENGTH: Codes = Codes { direct: 5, first: 0, least: 3 };
/// Offsets that are not repeated ones.
pub const OFFSET: Codes = Codes { direct: 6, first: 3, least: 1 };

/// Values less `least` lie below `2^VALUE_LOG`.
pub const VALUE_LOG: u32 = 22;

/// How many bits below its highest one the code of a larger value holds.
const MANTISSA: u32 = 2;

/// How many of an offset's extra bits may have a stream of their own, the lowest ones, if it has as many.
pub const FINE_BITS: u32 = 4;

/// The most extra bits of a sequence: they fit an unaligned 64-bit word at any bit of its first byte.
pub const MAX_EXTRA: u32 = 3 * (VALUE_LOG - 1 - MANTISSA);
const _: () = assert!(MAX_EXTRA + 7 <= 64);

/// How values of one kind become codes.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    /// `p`: values below `2^p` are codes themselves.
    direct: u32,
    /// The code of the least value.
    first: u32,
    /// The least value.
    least: u32,
}

/// A value as its code and extra bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coded {
    /// The code.
    pub code: u8,
    /// How many extra bits the code has.
    pub width: u32,
    /// The extra bits.
    pub extra: u32,
}

/// The values of one code: `base` plus the extra bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Values {
    /// The least of them; [`INVALID`] if there is no such code.
    pub base: u32,
    /// How many extra bits the code has.
    pub width: u32,
}

/// The value of a code that does not exist: too large for any block.
pub const INVALID: u32 = 1 << 30;

impl Codes {
    /// How many codes there are, those before the first included.
    pub const fn count(self) -> u32 {
        self.first + (1 << self.direct) + ((VALUE_LOG - self.direct) << MANTISSA)
    }

    /// The code of a value. (Without branches or tables, as [`values`](Self::values).)
    #[inline(always)]
    pub const fn code(self, value: u32) -> Coded {
        let v = value - self.least;
        debug_assert!(v < 1 << VALUE_LOG);
        let direct = v < 1 << self.direct;
        let e = (v | 1 << self.direct).ilog2();
        let width = if direct { 0 } else { e - MANTISSA };
        let above = ((e - self.direct) << MANTISSA) + (1 << self.direct) - (1 << MANTISSA);
        let code = (v >> width) + if direct { 0 } else { above };
        Coded { code: (self.first + code) as u8, width, extra: v & ((1 << width) - 1) }
    }

    /// The values of a code. (Without branches or tables: this is computed for many codes at once.)
    #[inline(always)]
    pub const fn values(self, code: u8) -> Values {
        let code = (code as u32).wrapping_sub(self.first);
        let above = code.wrapping_sub(1 << self.direct);
        let width = (above >> MANTISSA).wrapping_add(self.direct - MANTISSA);
        let high = (1 << MANTISSA) + (above & ((1 << MANTISSA) - 1));
        let (base, width) =
            if code < 1 << self.direct { (code, 0) } else { (high << (width & 31), width) };
        // The codes below the first have wrapped round.
        let valid = code < self.count() - self.first;
        if valid {
            Values { base: base + self.least, width }
        } else {
            Values { base: INVALID, width: 0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Codes; 3] = [RUN, LENGTH, OFFSET];

    #[test]
    fn values_and_codes_are_the_formats() {
        // Worked out by hand from docs/FORMAT.md, section 3.1.
        let coded = |code, width, extra| Coded { code, width, extra };
        assert_eq!(RUN.code(15), coded(15, 0, 0));
        assert_eq!(RUN.code(16), coded(16, 2, 0));
        assert_eq!(RUN.code(23), coded(17, 2, 3));
        assert_eq!(RUN.code((1 << 22) - 1), coded(87, 19, (1 << 19) - 1));
        assert_eq!(LENGTH.code(3), coded(0, 0, 0));
        assert_eq!(LENGTH.code(35), coded(32, 3, 0));
        assert_eq!(OFFSET.code(1), coded(3, 0, 0));
        assert_eq!(OFFSET.code(65), coded(67, 4, 0));
        assert_eq!(OFFSET.code(1 << 22), coded(130, 19, (1 << 19) - 1));
    }

    #[test]
    fn the_ranges_of_the_codes_follow_each_other() {
        for codes in ALL {
            let mut next = codes.least;
            for code in codes.first..codes.count() {
                let values = codes.values(code as u8);
                assert_eq!(values.base, next, "{codes:?}, code {code}");
                next += 1 << values.width;
            }
            assert_eq!(next, codes.least + (1 << VALUE_LOG));
            for code in (0..codes.first).chain(codes.count()..256) {
                assert_eq!(codes.values(code as u8).base, INVALID);
            }
        }
    }

    #[test]
    fn every_value_comes_back() {
        for codes in ALL {
            for value in codes.least..codes.least + (1 << VALUE_LOG) {
                let Coded { code, width, extra } = codes.code(value);
                let values = codes.values(code);
                assert_eq!((values.base + extra, values.width), (value, width));
                assert!(extra >> width == 0);
            }
        }
    }
}
