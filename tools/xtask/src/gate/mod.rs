//! The performance gate: pipelines × directions × CPU and GPU against a baseline of the same class of machine.
//!
//! What is compared is never a throughput, but its ratio to that of a [calibration] workload of our own,
//! which runs between the measurements on as many threads: what slows the whole machine down slows both.

mod baseline;
mod calibration;
mod class;
mod flags;
mod measure;
mod row;
mod verdict;

use std::process::ExitCode;

use self::{
    baseline::Baseline,
    flags::{Flags, USAGE},
    measure::Bench,
    row::Row,
    verdict::{Limits, Verdict},
};
use crate::{Result, process::root};

/// Every row is as good as its baseline, or no worse than the limits allow.
const PASS: u8 = 0;
/// A row is worse.
const REGRESSION: u8 = 1;
/// There is no baseline for this class of machine or for a row.
const NO_BASELINE: u8 = 2;
/// Wrong usage, or nothing could be measured.
const ERROR: u8 = 3;

/// Runs `cargo xtask gate`.
pub fn run(args: &[&str]) -> ExitCode {
    if args.iter().any(|word| matches!(*word, "--help" | "-h")) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let status = Flags::parse(args).and_then(|flags| gate(&flags)).unwrap_or_else(|message| {
        eprintln!("xtask: gate: {message}");
        ERROR
    });
    status.into()
}

fn gate(flags: &Flags) -> Result<u8> {
    let bench = Bench::new(flags)?;
    let class = flags.class.clone().unwrap_or_else(|| class::of_this_machine(bench.gpu()));
    let directory = flags.baselines.clone().unwrap_or_else(|| root().join("tools/xtask/baselines"));
    let path = directory.join(format!("{class}.json"));
    let baseline = Baseline::load(&path)?;
    println!("machine class: {class}");

    let numbers: Vec<usize> = (0..bench.rows()).collect();
    let rows = bench.measure(&numbers)?;
    if flags.update {
        let updated = baseline.unwrap_or_default().updated(rows)?;
        updated.save(&path)?;
        println!("{} rows are in {}", updated.rows.len(), path.display());
        return Ok(PASS);
    }
    let limits = Limits { throughput: flags.throughput_pct / 100.0, overhead: flags.overhead_abs };
    let known = baseline.as_ref().map_or(&[][..], |baseline| &baseline.rows);
    let judge = |rows: &[Row]| {
        let verdict = |row| Verdict::of(row, known, limits);
        let verdicts: Vec<Verdict> = rows.iter().map(verdict).collect();
        rows.iter().zip(&verdicts).for_each(|(row, verdict)| println!("{row}: {verdict}"));
        verdicts
    };
    let mut verdicts = judge(&rows);
    let failed = |row: &usize| matches!(verdicts[*row], Verdict::Regression(_));
    let failed: Vec<usize> = numbers.into_iter().filter(failed).collect();
    if !failed.is_empty() {
        // Of a dozen rows, one in a few runs is beyond the limit by chance; hardly ever twice.
        println!("once more, what fails:");
        let again = judge(&bench.measure(&failed)?);
        failed.into_iter().zip(again).for_each(|(row, verdict)| verdicts[row] = verdict);
    }
    let status = verdict::status(&verdicts);
    match status {
        NO_BASELINE => println!(
            "gate: no baseline for a row: on a quiet machine, with the code to compare with: cargo xtask gate \
             --update-baseline"
        ),
        REGRESSION => println!("gate: REGRESSION"),
        _ => println!("gate: pass"),
    }
    Ok(status)
}
