//! On a terminal, which util-linux's `script` provides.

use std::path::Path;

use crate::harness::{Done, Sandbox, run, text};

/// Runs a shell line with a terminal as standard input, output and error. All output is in `stdout`.
fn on_terminal(sandbox: &Sandbox, line: &str) -> Done {
    let mut command = sandbox.program(Path::new("script"), &["-qec", line, "/dev/null"]);
    command.env("TERM", "xterm").env("SHELL", "/bin/sh");
    run(command)
}

#[test]
fn compressed_data_is_not_written_to_a_terminal() {
    let sandbox = Sandbox::with("a", &text());
    for line in ["$RANVIL -c a", "$RANVIL", "$RANVIL -", "$RANVIL -o - a"] {
        let done = on_terminal(&sandbox, line);
        assert_eq!(done.code, Some(1), "{line}");
        assert!(done.text().contains("not written to a terminal"), "{line}: {}", done.text());
    }
    let done = on_terminal(&sandbox, "$RANVIL -cf a");
    assert_eq!(done.code, Some(0));
    assert!(done.stdout.windows(3).any(|bytes| bytes == b"RVL"));
}

#[test]
fn compressed_data_is_not_read_from_a_terminal() {
    let sandbox = Sandbox::new();
    for line in ["$RANVIL -d", "$RANVIL -t", "$RANVIL -dc - > b"] {
        let done = on_terminal(&sandbox, line);
        assert_eq!(done.code, Some(1), "{line}");
        assert!(done.text().contains("not read from a terminal"), "{line}: {}", done.text());
    }
}

#[test]
fn restored_text_may_go_to_a_terminal() {
    let sandbox = Sandbox::compressed(b"one line\n");
    let done = on_terminal(&sandbox, "$RANVIL -dcq a.rvl");
    assert_eq!((done.code, done.text()), (Some(0), "one line\r\n"));
}

#[test]
fn a_summary_and_a_bar_appear_unless_quiet() {
    let sandbox = Sandbox::with("a", &text());
    let done = on_terminal(&sandbox, "$RANVIL a");
    assert_eq!(done.code, Some(0));
    assert!(done.text().contains("a: ") && done.text().contains("148.5 KiB =>"), "{}", done.text());
    assert!(done.text().contains("a ["), "no bar: {:?}", done.text());
    let done = on_terminal(&sandbox, "$RANVIL -qf a");
    assert_eq!((done.code, done.text()), (Some(0), ""));
}
