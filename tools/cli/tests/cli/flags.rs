//! Help, man page and completions have every flag.

use crate::harness::Sandbox;

/// Short and long names of every flag, from the long help.
fn flags(help: &str) -> Vec<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words =
        lines.flat_map(|line| line.split([',', ' ', '.']).filter(|word| word.starts_with('-')));
    words.filter(|word| word.len() > 1).map(str::to_owned).collect()
}

#[test]
fn help_goes_to_standard_output() {
    let sandbox = Sandbox::new();
    let long = String::from_utf8(sandbox.ok(&["--help"])).unwrap();
    let short = String::from_utf8(sandbox.ok(&["-h"])).unwrap();
    assert!(short.len() < long.len());
    for text in ["Exit status", "ranvil bench", "130", "141", "RANVIL_DEVICE", "ranvil -d FILE.rvl"]
    {
        assert!(long.contains(text), "{text}");
    }
    let version = String::from_utf8(sandbox.ok(&["--version"])).unwrap();
    assert_eq!(version.trim(), format!("ranvil {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(sandbox.ok(&["-V"]), version.as_bytes());
}

/// As in gzip, zstd and xz: scripts give the same flags in both directions. The help says so.
#[test]
fn flags_of_the_format_have_no_effect_on_a_file_that_has_one() {
    let sandbox = Sandbox::compressed(b"content");
    let format = ["-9", "--pipeline", "huff", "--block-size", "4M", "--segment", "latency"];
    for operation in [&["-dc"][..], &["-t"], &["-l"]] {
        let with =
            sandbox.ok(&[operation, &format, &["--table-log", "1", "-T2", "a.rvl"]].concat());
        assert_eq!(with, sandbox.ok(&[operation, &["a.rvl"]].concat()), "{operation:?}");
    }
    let help = sandbox.ok(&["--help"]);
    let words = String::from_utf8(help).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("flags of the format are taken and have no effect"), "{words}");
}

/// A reader that closes the pipe is no reason for a message.
#[cfg(unix)]
#[test]
fn help_that_cannot_be_written_is_an_error() {
    let sandbox = Sandbox::new();
    for help in ["--help", "-h", "--version", "-V", "bench --help", "bench -h"] {
        let refused = |stdout: &str, reason: &str| {
            let done = sandbox.shell(&format!("$RANVIL {help} {stdout}"));
            done.expect(1, &["ranvil: cannot write standard output: ", reason]);
        };
        refused(">&-", "Bad file descriptor");
        refused("1< /dev/null", "Bad file descriptor");
        if cfg!(target_os = "linux") {
            refused("> /dev/full", "No space left on device");
        }
        let done = sandbox.shell(&format!("{{ $RANVIL {help}; echo $? >&2; }} | :"));
        assert!(["0\n", "141\n"].contains(&done.stderr.as_str()), "{}", done.stderr);
    }
}

#[test]
fn the_letters_of_gzip_and_zstd_are_there() {
    let sandbox = Sandbox::new();
    let flags = flags(sandbox.run(&["--help"]).text());
    for flag in [
        "-z",
        "-d",
        "-t",
        "-l",
        "-c",
        "-o",
        "-f",
        "-k",
        "-T",
        "-M",
        "-q",
        "-v",
        "-h",
        "-V",
        "-1",
        "-9",
        "--fast",
        "--best",
        "--level",
        "--rm",
        "--block-size",
        "--pipeline",
        "--segment",
        "--table-log",
        "--memory",
        "--device",
        "--list-devices",
        "--stage0",
        "--stage1",
        "--trace",
        "--print-scheduler-stats",
        "--json",
        "--generate",
    ] {
        assert!(flags.iter().any(|known| known == flag), "{flag} is not among {flags:?}");
    }
}

#[test]
fn the_man_page_and_the_completions_have_every_flag() {
    let sandbox = Sandbox::new();
    let mut flags = flags(sandbox.run(&["--help"]).text());
    assert!(flags.len() > 30, "{flags:?}");
    flags.extend(self::flags(sandbox.run(&["bench", "--help"]).text()));
    assert!(flags.iter().any(|flag| flag == "--iterations"), "{flags:?}");
    for kind in ["man", "bash", "zsh", "fish", "powershell", "elvish"] {
        let text = String::from_utf8(sandbox.ok(&["--generate", kind])).unwrap().replace('\\', "");
        for flag in &flags {
            // fish writes `-s d -l decompress`
            let name = flag.trim_start_matches('-');
            let known = match kind {
                "fish" if flag.starts_with("--") => text.contains(&format!("-l {name} ")),
                "fish" => text.contains(&format!("-s {name} ")),
                _ => text.contains(flag.as_str()),
            };
            assert!(known, "{kind} lacks {flag}");
        }
    }
}

#[test]
fn the_man_page_has_its_sections() {
    let page = String::from_utf8(Sandbox::new().ok(&["--generate", "man"])).unwrap();
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "RANVIL BENCH",
        "COMMANDS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "EXAMPLES",
    ] {
        assert!(
            page.lines().any(|line| line.trim_start_matches(".SH ").trim_matches('"') == section),
            "{section}"
        );
    }
}
