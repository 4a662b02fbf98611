//! Sizes in bytes, as people write and read them.

/// Parses `65536`, `64K`, `64KiB`, `64k`, `1M`, `2GiB`. All suffixes are powers of 1024; `KB` and `MB` are read
/// the same way, as zstd does.
///
/// # Errors
/// Says what is accepted.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => {
            return Err("expected bytes, or a number with K, M, G or T (powers of 1024)".to_owned());
        }
    };
    let number: u64 = number.parse().map_err(|_| "expected a whole number of bytes".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than 64 bits hold".to_owned())
}

/// `10192446` as `9.72 MiB`; whole numbers of a unit without decimals.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = bytes.checked_ilog2().unwrap_or(0) as usize / 10;
    let scale = 1u64 << (10 * unit);
    if bytes.is_multiple_of(scale) {
        return format!("{} {}", bytes / scale, UNITS[unit]);
    }
    let value = bytes as f64 / scale as f64;
    let decimals = if value < 10.0 { 2 } else { 1 };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// The compressed size in percent of the raw size; `-` where there is no raw byte.
pub fn percent(compressed: u64, raw: u64) -> String {
    if raw == 0 {
        return "-".to_owned();
    }
    format!("{:.2}%", compressed as f64 * 100.0 / raw as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 1 << 16),
            ("64K", 1 << 16),
            ("256KiB", 1 << 18),
            ("1m", 1 << 20),
            ("3GB", 3 << 30),
            ("7B", 7),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "K", "-1", "1.5M", "1 K", "64X", "99999999999999999999", "18446744073709551615K"]
        {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn sizes_print() {
        for (bytes, text) in [
            (0, "0 B"),
            (1, "1 B"),
            (1023, "1023 B"),
            (1 << 18, "256 KiB"),
            (1025, "1.00 KiB"),
            (10_192_446, "9.72 MiB"),
            (150 << 20 | 1, "150.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
        assert_eq!(percent(1, 0), "-");
        assert_eq!(percent(57, 100), "57.00%");
    }
}
