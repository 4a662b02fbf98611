//! Loops in a driver's assembly text.

use std::collections::HashMap;

/// Instructions of every innermost loop, in the order of the text: among them is the one in which a kernel spends its time,
/// which need not be the largest. None if the text has no loop that can be recognised.
///
/// Understood is what AMD's disassembler prints: labels `BB7:` at the beginning of a line, and branches such as
/// `s_cbranch_scc0 BB7`. A branch to a label above it closes a loop.
pub fn innermost(text: &str) -> Vec<u64> {
    let mut labels = HashMap::new();
    let mut loops: Vec<(u64, u64)> = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        if let Some(label) = line.strip_suffix(':').filter(|label| !label.contains(' ')) {
            labels.insert(label, count);
            continue;
        }
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        count += 1;
        let target =
            words.next().filter(|_| name.starts_with("s_branch") || name.contains("cbranch"));
        let Some(&begin) = target.and_then(|target| labels.get(target)) else { continue };
        // Several branches back to one place are one loop.
        match loops.iter_mut().find(|known| known.0 == begin) {
            Some(known) => known.1 = count,
            None => loops.push((begin, count)),
        }
    }
    let inside = |a: &(u64, u64), b: &(u64, u64)| a != b && b.0 <= a.0 && a.1 <= b.1;
    loops.sort_unstable();
    let innermost = loops.iter().filter(|&outer| !loops.iter().any(|inner| inside(inner, outer)));
    innermost.map(|(begin, end)| end - begin).collect()
}

#[cfg(test)]
mod tests {
    use super::innermost;

    #[test]
    fn innermost_loops_count() {
        let text = "BB0:
\ts_mov_b32 s0, s3    ; be800003
BB1:
\tv_add_u32 v0, v1, v2
BB2:
\tv_xor_b32 v0, v1, v2
\tv_xor_b32 v0, v1, v2
\ts_cbranch_scc0 BB2    ; bfa20000
\tv_add_u32 v0, v1, v2
\ts_cbranch_scc1 BB4
BB3:
\tv_and_b32 v0, v1, v2
\ts_cbranch_vccz BB3
BB4:
\ts_branch BB1
\ts_endpgm
";
        assert_eq!(innermost(text), [3, 2]);
        assert_eq!(innermost("BB0:\n\ts_cbranch_scc0 BB1\nBB1:\n\ts_endpgm\n"), [0; 0]);
        assert_eq!(innermost(""), [0; 0]);
    }

    #[test]
    fn branches_back_to_one_place_are_one_loop() {
        let text = "BB0:\n\ta\n\ts_cbranch_scc0 BB0\n\tb\n\ts_branch BB0\n";
        assert_eq!(innermost(text), [4]);
    }
}
