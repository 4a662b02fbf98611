//! A directory of one's own, and the command run in it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A fresh directory in which commands run.
pub struct Sandbox(TempDir);

impl Sandbox {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// A sandbox with one file.
    pub fn with(name: &str, content: &[u8]) -> Self {
        let sandbox = Self::new();
        sandbox.write(name, content);
        sandbox
    }

    /// A sandbox with the file `a` and its compressed `a.rvl`.
    pub fn compressed(content: &[u8]) -> Self {
        let sandbox = Self::with("a", content);
        sandbox.ok(&["--block-size", "4K", "a"]);
        sandbox
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("a file of the sandbox");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names of all files, hidden ones included, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the sandbox");
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The command, to be run in the sandbox, on the CPU unless the test says otherwise.
    pub fn command(&self, args: &[&str]) -> Command {
        self.program(Path::new(env!("CARGO_BIN_EXE_ranvil")), args)
    }

    /// Any program in the sandbox; `$RANVIL` is the command.
    pub fn program(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.0.path())
            .env("RANVIL", env!("CARGO_BIN_EXE_ranvil"))
            .env("RANVIL_DEVICE", "cpu")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    /// A line for the shell.
    #[cfg(unix)]
    pub fn shell(&self, line: &str) -> Done {
        run(self.program(Path::new("sh"), &["-c", line]))
    }

    pub fn run(&self, args: &[&str]) -> Done {
        run(self.command(args))
    }

    /// Runs the command, which must succeed and print nothing on standard error.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> Vec<u8> {
        let done = self.run(args);
        done.expect(0, &[]);
        done.stdout
    }

    /// Runs the command with `input` on standard input.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> Done {
        feed(self.command(args), input)
    }
}

pub fn run(mut command: Command) -> Done {
    command.output().expect("the command starts").into()
}

pub fn feed(mut command: Command, input: &[u8]) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = stdin.write_all(input); // the command may stop reading
        });
        child.wait_with_output().expect("the command ends").into()
    })
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }
}

impl Done {
    /// The exit status, and texts that standard error contains; it is empty if there are none.
    #[track_caller]
    pub fn expect(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        if texts.is_empty() {
            assert_eq!(self.stderr, "");
        }
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in {:?}", self.stderr);
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text")
    }
}

/// Real text.
pub fn text() -> Vec<u8> {
    real("alice29.txt")
}

/// A file of the repository's real data.
pub fn real(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Bytes without structure (xorshift).
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
