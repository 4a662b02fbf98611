//! The man page and the completions, generated from the table of flags, and what stands behind the flags in both
//! the help and the man page.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::{
    args::{Args, Generate},
    bench::BenchArgs,
};

const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "Commands",
        &[(
            "ranvil bench",
            "measure a pipeline, or one stage of it; see ranvil bench --help. A file of that name is ./bench",
        )],
    ),
    (
        "Exit status",
        &[
            ("0", "every file was done"),
            ("1", "an error in at least one file; the others were done"),
            ("2", "wrong usage: nothing was done"),
            ("130", "interrupted (Ctrl-C or a request to terminate); no partial output is left"),
            ("141", "the reader of standard output closed the pipe"),
        ],
    ),
    ("Environment", &[("RANVIL_DEVICE", "the device if --device is not given, in the same words")]),
    (
        "Examples",
        &[
            ("ranvil FILE", "compress FILE to FILE.rvl"),
            ("ranvil -d FILE.rvl", "restore FILE"),
            ("ranvil -dc FILE.rvl | tar x", "restore to a pipe"),
            ("ranvil --rm -T8 *.bin", "compress with eight threads; remove verified sources"),
            ("ranvil --device 0 FILE", "compress on the first Vulkan device"),
            ("ranvil bench -9 FILE", "measure how fast level 9 compresses FILE"),
        ],
    ),
];

/// The sections behind the flags in `--help`.
pub fn after_help() -> String {
    let mut text = String::new();
    for (title, items) in SECTIONS {
        let width = items.iter().map(|(item, _)| item.len()).max().unwrap_or(0);
        text += &format!("{title}:\n");
        for (item, meaning) in *items {
            text += &format!("  {item:width$}  {meaning}\n");
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// Writes the man page or a shell's completions.
pub fn generate(kind: Generate, out: &mut dyn Write) -> io::Result<()> {
    let shell = match kind {
        Generate::Man => return man(out),
        Generate::Bash => Shell::Bash,
        Generate::Zsh => Shell::Zsh,
        Generate::Fish => Shell::Fish,
        Generate::Powershell => Shell::PowerShell,
        Generate::Elvish => Shell::Elvish,
    };
    let mut text = Vec::new();
    let mut command = Args::command().subcommand(BenchArgs::command());
    clap_complete::generate(shell, &mut command, "ranvil", &mut text);
    out.write_all(&text)
}

fn man(out: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(Args::command().after_long_help(None));
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    bench(out)?;
    let mut roff = Roff::new();
    for (title, items) in SECTIONS {
        roff.control("SH", [title.to_uppercase().as_str()]);
        for (item, meaning) in *items {
            roff.control("TP", []).text([bold(*item)]).text([roman(*meaning)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]).text([
        bold("gzip"),
        roman("(1), "),
        bold("zstd"),
        roman("(1)"),
    ]);
    roff.to_writer(out)
}

/// The flags of `ranvil bench`, as a section.
fn bench(out: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(BenchArgs::command().after_help(None));
    let mut section = Vec::new();
    man.render_description_section(&mut section)?;
    let description =
        String::from_utf8_lossy(&section).replace(".SH DESCRIPTION", ".SH RANVIL BENCH");
    out.write_all(description.as_bytes())?;
    let mut section = Vec::new();
    man.render_options_section(&mut section)?;
    let options = String::from_utf8_lossy(&section).replace(".SH OPTIONS", ".SS Options");
    out.write_all(options.as_bytes())
}
