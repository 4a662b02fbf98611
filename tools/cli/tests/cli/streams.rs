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

#[cfg(unix)]
#[test]
fn a_closed_stream_is_an_error_where_it_is_used() {
    let sandbox = Sandbox::compressed(&text());
    for args in ["-c a", "-dc a.rvl", "-o - a", "-l a.rvl", "--list-devices", "--pipeline"] {
        let done = sandbox.shell(&format!("$RANVIL {args} >&-"));
        done.expect(1, &["cannot write standard output: Bad file descriptor"]);
    }
    for args in ["-c", "-c -", "-o b -", "-d", "-t -", "bench -"] {
        let done = sandbox.shell(&format!("$RANVIL {args} <&-"));
        done.expect(1, &["standard input: Bad file descriptor"]);
        assert!(done.stdout.is_empty());
    }
    assert_eq!(sandbox.names(), ["a", "a.rvl"]);
}

/// What does not use them goes on, and so does what daemons do: `/dev/null`, open to be read and written, in all places.
#[cfg(unix)]
#[test]
fn a_closed_stream_is_none_of_a_file_s_business() {
    let sandbox = Sandbox::with("a", &text());
    for streams in ["<&- >&-", "<&- >&- 2>&-", "<>/dev/null >&0 2>&0", "</dev/null >/dev/null"] {
        sandbox.shell(&format!("$RANVIL a {streams}")).expect(0, &[]);
        sandbox.shell(&format!("$RANVIL -df a.rvl {streams}")).expect(0, &[]);
        sandbox.shell(&format!("$RANVIL --rm -f a {streams}")).expect(0, &[]);
        sandbox.shell(&format!("$RANVIL -d --rm a.rvl {streams}")).expect(0, &[]);
        assert_eq!((sandbox.names(), sandbox.read("a")), (vec!["a".to_owned()], text()));
    }
    for streams in ["<>/dev/null >&0 2>&0", "</dev/null >/dev/null", "<&- >/dev/null"] {
        sandbox.shell(&format!("$RANVIL -c a {streams}")).expect(0, &[]);
    }
    sandbox.shell("$RANVIL -c - <>/dev/null >b && $RANVIL -t b").expect(0, &[]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_hides_its_size_is_read_to_its_end() {
    let sandbox = Sandbox::new();
    let coded = sandbox.ok(&["-c", "/proc/version"]);
    assert_eq!(sandbox.feed(&["-d"], &coded).stdout, std::fs::read("/proc/version").unwrap());
}
