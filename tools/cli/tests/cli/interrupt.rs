//! Ctrl-C.

use std::{
    fs::File,
    io::Write,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::harness::{Done, Sandbox, text};

/// Waits until the temporary file appears: the work has begun.
fn wait_for_partial(sandbox: &Sandbox, child: &mut Child) {
    while !sandbox.names().iter().any(|name| name.starts_with(".ranvil-")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended without being interrupted");
        thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    // The shell's own: a bare system has no program of that name.
    let kill = format!("kill -s {name} {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(status.success());
}

/// A file of 64 GiB that takes no space, and far too long.
fn endless() -> Sandbox {
    let sandbox = Sandbox::new();
    File::create(sandbox.path("a")).unwrap().set_len(64 << 30).unwrap();
    sandbox
}

#[test]
fn work_in_progress_leaves_nothing() {
    for name in ["INT", "TERM", "HUP"] {
        let sandbox = endless();
        let mut child =
            sandbox.command(&["--rm", "-T1", "a"]).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_partial(&sandbox, &mut child);
        signal(&child, name);
        Done::from(child.wait_with_output().unwrap()).expect(130, &[]);
        assert_eq!(sandbox.names(), ["a"], "after SIG{name}");
        assert_eq!(std::fs::metadata(sandbox.path("a")).unwrap().len(), 64 << 30);
    }
}

#[test]
fn the_files_behind_are_not_begun() {
    let sandbox = endless();
    sandbox.write("b", &text());
    let mut child = sandbox.command(&["a", "b"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_partial(&sandbox, &mut child);
    signal(&child, "INT");
    Done::from(child.wait_with_output().unwrap()).expect(130, &[]);
    assert_eq!(sandbox.names(), ["a", "b"]);
}

#[test]
fn a_silent_pipe_does_not_hold_it_up() {
    for args in [&["-o", "x"][..], &["-d", "-o", "x"]] {
        let sandbox = Sandbox::compressed(&text());
        let input = sandbox.read("a.rvl");
        let mut command = sandbox.command(args);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(&input[..5000]).unwrap();
        wait_for_partial(&sandbox, &mut child);
        signal(&child, "INT");
        let done = Done::from(child.wait_with_output().unwrap());
        drop(pipe); // open until here: the command had no end of input to see
        done.expect(130, &[]);
        assert_eq!(sandbox.names(), ["a", "a.rvl"], "{args:?}");
    }
}

/// The process has to be ended by force: what is known until then is told all the same.
#[test]
fn statistics_and_trace_are_not_lost() {
    // A command that looks for an interruption before it waits for the pipe again ends by itself, and its second run with it.
    let forced = (0..10).any(|_| statistics_of_a_silent_pipe().contains("\truns=1\t"));
    assert!(forced, "it always ended by itself");
}

/// What the command says that is interrupted while it reads a pipe.
fn statistics_of_a_silent_pipe() -> String {
    let sandbox = Sandbox::with("a", &text());
    let args = ["--print-scheduler-stats", "--trace", "t.json", "a", "-"];
    let mut command = sandbox.command(&args);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // More than the pipe holds and less than a block: behind it the command has read some, and will wait for more.
    pipe.write_all(&[b' '; 100_000]).unwrap();
    thread::sleep(Duration::from_millis(200));
    signal(&child, "INT");
    let done = Done::from(child.wait_with_output().unwrap());
    drop(pipe);
    done.expect(130, &["SCHEDULER_STATS", "\truns="]);
    assert_eq!(sandbox.names(), ["a", "a.rvl", "t.json"]);
    let trace = String::from_utf8(sandbox.read("t.json")).unwrap();
    assert!(trace.contains("\"encode\"") && trace.ends_with("}\n"), "{trace}");
    done.stderr
}
