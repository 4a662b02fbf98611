//! What the coders made of known data when somebody last looked: kernels and their twins are compared with today's coder, and
//! all three together must not change unnoticed.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};

use crate::case::Case;

/// Those of the repository.
const RECORDED: &str = include_str!("../baselines/encoded.tsv");
const HEADER: &str = "data\tsize\tblock\tcoder\tcrc32c";

/// CRC-32C by data, size, block size and coder.
#[derive(PartialEq, Debug)]
pub struct Checksums(BTreeMap<String, u32>);

impl Checksums {
    /// Those of a file, else those that this program was built with.
    ///
    /// # Errors
    /// The file cannot be read, or is none of them.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Self::parse(RECORDED).context("the recorded checksums are none");
        };
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| format!("{} holds no checksums", path.display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let rows = text.strip_prefix(HEADER)?.lines().filter(|line| !line.is_empty());
        let row = |line: &str| {
            let (key, sum) = line.rsplit_once('\t')?;
            Some((key.to_owned(), u32::from_str_radix(sum, 16).ok()?))
        };
        rows.map(row).collect::<Option<_>>().map(Self)
    }

    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.text()).with_context(|| path.display().to_string())
    }

    fn text(&self) -> String {
        let mut text = HEADER.to_owned() + "\n";
        for (key, sum) in &self.0 {
            writeln!(text, "{key}\t{sum:08x}").expect("strings take everything");
        }
        text
    }

    /// Records what the case's blocks of this data became.
    pub fn set(&mut self, case: &Case, data: &str, found: u32) {
        self.0.insert(key(case, data), found);
    }

    /// Whether that is what is recorded; `None` if nothing is.
    pub fn check(&self, case: &Case, data: &str, found: u32) -> Option<Result<(), String>> {
        let recorded = *self.0.get(&key(case, data))?;
        Some(if recorded == found {
            Ok(())
        } else {
            Err(format!("{data} is encoded to {found:#010x} now, recorded is {recorded:#010x}"))
        })
    }
}

fn key(case: &Case, data: &str) -> String {
    format!("{data}\t{}\t{}\t{}", case.params.size, case.params.block, case.coder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blocks::Blocks, case::Coder, data};

    #[test]
    fn checksums_survive_their_file() {
        let mut sums = Checksums::read(None).unwrap();
        sums.set(&Case::default(), "other", 7);
        assert_eq!(Checksums::parse(&sums.text()), Some(sums));
        assert!(Checksums::parse("a\tb\n").is_none());
        assert!(Checksums::parse(&format!("{HEADER}\nmixed\t1\t2\trans\tnone\n")).is_none());
    }

    /// Another byte in the last payload, another coder or another size of blocks is another checksum.
    #[test]
    fn checksums_tell_what_became_of_the_data() {
        let case = |coder, block| {
            let mut case = Case { coder, ..Case::default() };
            (case.params.size, case.params.block) = (100_000, block);
            case
        };
        let data = data::load("alice").unwrap();
        let of =
            |case: &Case, data: &[u8]| Blocks::new(case, data, 1 << 27).unwrap().encoded_crc32c();
        let rans = case(Coder::Rans, 30_000);
        let (found, mut other) = (of(&rans, &data), data.clone());
        other[99_999] ^= 1;
        let mut all = vec![found, of(&rans, &other)];
        all.extend([of(&case(Coder::Huff, 30_000), &data), of(&case(Coder::Rans, 20_000), &data)]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4);

        let mut sums = Checksums::read(None).unwrap();
        sums.set(&rans, "text", found);
        assert_eq!(sums.check(&rans, "text", found), Some(Ok(())));
        assert!(sums.check(&rans, "text", found ^ 1).unwrap().is_err());
        assert_eq!(sums.check(&rans, "no such", found), None);
    }

    #[test]
    fn data_that_is_not_what_its_name_says_is_refused() {
        let alice = data::Set::find("alice").unwrap();
        alice.load().unwrap();
        let other = data::Set { crc32c: alice.crc32c ^ 1, ..*alice };
        assert!(other.load().unwrap_err().contains("is not what it was"));
    }
}
