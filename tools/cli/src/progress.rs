//! The progress bar: on a terminal only, and not where the output itself goes to one.

use std::{
    io::{self, IsTerminal},
    path::Path,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{args::Verbosity, output::Target, report};

/// A bar over the bytes of the source; without a size it counts.
pub fn bar(path: &Path, size: Option<u64>, verbosity: Verbosity, target: &Target) -> ProgressBar {
    let to_terminal = matches!(target, Target::Stdout(_)) && io::stdout().is_terminal();
    if verbosity == Verbosity::Quiet || to_terminal || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match size {
        Some(_) => "{prefix} [{wide_bar}] {percent:>3}% {binary_bytes_per_sec} {eta}",
        None => "{prefix} {spinner} {binary_bytes} {binary_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template)
        .expect("the template is constant")
        .progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    bar.with_style(style).with_prefix(report::name(path))
}
