//! Tests of what is judged.

use clap::Parser;

use super::*;
use crate::args::{Cli, Command};

fn one() -> Compiled {
    let mut one = tests::compiled("parse", "any", 100, 30);
    one.figures.as_mut().unwrap().spills = Some(0);
    one
}

fn with_spills(spills: Option<u64>) -> Compiled {
    let mut one = one();
    one.figures.as_mut().unwrap().spills = spills;
    one
}

fn rejected() -> Compiled {
    Compiled { figures: Err("no such thing".to_owned()), ..one() }
}

#[test]
fn spills_and_rejections_are_faults() {
    assert_eq!(fault(&one()), None);
    assert!(fault(&with_spills(Some(1))).unwrap().contains("spills 1"));
    assert!(fault(&with_spills(None)).unwrap().contains("does not tell"));
    assert_eq!(fault(&Compiled { experiment: true, ..with_spills(Some(1)) }), None);
    assert!(fault(&Compiled { experiment: true, ..rejected() }).is_some());
    assert!(accepted(&[one()]) && !accepted(&[one(), rejected()]));
}

/// `kbench static` with these flags and this baseline, of `found`.
fn judged(baseline: &Path, flags: &[&str], compiler: &str, found: &[Compiled]) -> bool {
    let baseline = baseline.to_str().unwrap();
    let line = [&["kbench", "static", "--baseline", baseline], flags].concat();
    let Command::Static(args) = Cli::parse_from(line).command else { panic!("another command") };
    judge(&args, compiler, found).unwrap()
}

#[test]
fn the_baseline_decides() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("amd.tsv");
    let (good, more) = (one(), tests::compiled("parse", "any", 101, 30));
    let more = Compiled { figures: more.figures.map(|f| Figures { spills: Some(0), ..f }), ..more };
    assert!(judged(&path, &["--update-baseline"], "Mesa 25", std::slice::from_ref(&good)));
    let recorded = Baseline::read(&path).unwrap();
    assert_eq!(recorded, Baseline::of("Mesa 25", std::slice::from_ref(&good)));

    assert!(judged(&path, &[], "Mesa 25", std::slice::from_ref(&good)));
    assert!(!judged(&path, &[], "Mesa 25", std::slice::from_ref(&more)));
    assert!(!judged(&path, &[], "Mesa 25", &[with_spills(Some(2))]));
    assert!(!judged(&path, &[], "Mesa 26", std::slice::from_ref(&good)), "nothing was compared");
    assert!(judged(&path, &["--other-compiler"], "Mesa 26", std::slice::from_ref(&good)));
    assert!(!judged(&path, &["--other-compiler"], "Mesa 25", std::slice::from_ref(&more)));
    assert!(other_compiler("Mesa 25", "Mesa 26").contains("--update-baseline"));
    assert_eq!(Baseline::read(&path).unwrap(), recorded);

    assert!(judged(&path, &["--update-baseline"], "Mesa 26", &[more]));
    assert_ne!(Baseline::read(&path).unwrap(), recorded);
}

/// A form that its compiler left out would be compared with nothing.
#[test]
fn every_form_must_have_been_compiled() {
    let parse = kernel::find("parse").unwrap();
    let entries = variants::of(parse);
    let waves = [32, 64];
    let found = waves.map(|wave| Compiled { wave, ..one() });
    complete("navi31", &waves, &entries, &found).unwrap();
    complete("navi31", &waves, &entries, &found[..1]).unwrap_err();
    let other = Compiled { kernel: "gather".to_owned(), ..one() };
    complete("navi31", &[32], &entries, &[other]).unwrap_err();
    // What is for other subgroup sizes need not be there.
    let decode: Vec<Entry> = variants::of(kernel::find("decode_rans").unwrap())
        .into_iter()
        .filter(|entry| entry.choice.variant.form == kernel::Form::Subgroup(8))
        .collect();
    assert!(!decode.is_empty());
    complete("navi31", &waves, &decode, &[]).unwrap();
}
