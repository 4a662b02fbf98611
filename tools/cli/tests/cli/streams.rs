//! Standard input and output, pipes, concatenation.

use std::{io::Read, process::Stdio};

use crate::harness::{Sandbox, noise, real, text};

#[test]
fn standard_input_to_standard_output() {
    let sandbox = Sandbox::new();
    for flags in [&[][..], &["-"], &["-c"], &["-c", "-"], &["-o", "-"]] {
        let coded = sandbox.feed(flags, &text());
        coded.expect(0, &[]);
        assert!(coded.stdout.starts_with(b"\x89RVL"));
        let raw = sandbox.feed(&[&["-d"], flags].concat(), &coded.stdout);
        raw.expect(0, &[]);
        assert_eq!(raw.stdout, text(), "{flags:?}");
    }
    assert!(sandbox.names().is_empty());
}

#[test]
fn empty_standard_input() {
    let sandbox = Sandbox::new();
    let coded = sandbox.feed(&[], b"");
    let raw = sandbox.feed(&["-d"], &coded.stdout);
    raw.expect(0, &[]);
    assert_eq!(raw.stdout, b"");
    sandbox.feed(&["-d"], b"").expect(1, &["ranvil: standard input: "]);
}

#[test]
fn standard_input_to_a_file_and_back() {
    let sandbox = Sandbox::new();
    sandbox.feed(&["-o", "a"], &text()).expect(0, &[]);
    assert_eq!(sandbox.ok(&["-dc", "a"]), text());
    sandbox.feed(&["-o", "a"], &text()).expect(1, &["a already exists"]);
    sandbox.feed(&["-t"], &sandbox.read("a")).expect(0, &[]);
    sandbox.feed(&["-t"], b"nonsense").expect(1, &["ranvil: standard input: not a ranvil frame"]);
}

#[test]
fn concatenated_files_are_one_stream() {
    let sandbox = Sandbox::with("a", &text());
    sandbox.write("b", &real("ecoli.64k"));
    sandbox.write("c", b"");
    let coded = sandbox.ok(&["-c", "a", "b", "c", "a"]);
    let raw = [text(), real("ecoli.64k"), text()].concat();
    assert_eq!(sandbox.feed(&["-d"], &coded).stdout, raw);
    sandbox.ok(&["a", "b"]);
    sandbox.write("ab.rvl", &[sandbox.read("a.rvl"), sandbox.read("b.rvl")].concat());
    let raw = [text(), real("ecoli.64k")].concat();
    assert_eq!(sandbox.ok(&["-dc", "ab.rvl"]), raw);
    assert_eq!(sandbox.ok(&["-dc", "a.rvl", "b.rvl"]), raw);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let sandbox = Sandbox::with("a", &noise(4 << 20));
    sandbox.ok(&["a"]);
    for args in [&["-dc", "a.rvl"][..], &["-dc", "a.rvl", "a.rvl"], &["-c", "a"]] {
        let mut child =
            sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdout.take().unwrap();
        pipe.read_exact(&mut [0]).unwrap();
        drop(pipe);
        let done = crate::harness::Done::from(child.wait_with_output().unwrap());
        done.expect(141, &[]);
    }
}

#[cfg(unix)]
#[test]
fn head_closes_the_pipe() {
    let sandbox = Sandbox::with("a", &noise(4 << 20));
    let done =
        sandbox.shell("$RANVIL a && { $RANVIL -dc a.rvl; echo $? >&2; } | head -c 1 | wc -c");
    assert_eq!((done.text().trim(), done.stderr.as_str()), ("1", "141\n"));
    let done = sandbox.shell("{ $RANVIL --generate man; echo $? >&2; } | :");
    assert!(["0\n", "141\n"].contains(&done.stderr.as_str()), "{}", done.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_hides_its_size_is_read_to_its_end() {
    let sandbox = Sandbox::new();
    let coded = sandbox.ok(&["-c", "/proc/version"]);
    assert_eq!(sandbox.feed(&["-d"], &coded).stdout, std::fs::read("/proc/version").unwrap());
}
