//! Files in, files out: names, sources, targets, permissions, times.

use std::{
    fs::{self, FileTimes},
    time::{Duration, SystemTime},
};

use crate::harness::{Sandbox, noise, real, text};

#[test]
fn a_file_is_compressed_beside_itself_and_restored() {
    let sandbox = Sandbox::with("a", &text());
    sandbox.ok(&["a"]);
    assert_eq!(sandbox.names(), ["a", "a.rvl"]);
    assert_eq!(sandbox.read("a"), text());
    assert!(sandbox.read("a.rvl").len() < text().len() * 7 / 10);
    fs::remove_file(sandbox.path("a")).unwrap();
    sandbox.ok(&["-d", "a.rvl"]);
    assert_eq!(sandbox.names(), ["a", "a.rvl"]);
    assert_eq!(sandbox.read("a"), text());
}

#[test]
fn all_kinds_of_content_come_back() {
    let mut all = Vec::new();
    for name in
        ["alice29.txt", "ecoli.64k", "helmet_color.bc7.96k", "helmet_mesh.64k", "levitus_temp.96k"]
    {
        all.extend(real(name));
    }
    let contents: [&[u8]; 8] =
        [b"", b"x", &[7; 5000], &noise(100_000), &all, &all[..4096], &all[..4097], &all[..262_145]];
    for content in contents {
        let sandbox = Sandbox::with("a", content);
        for flags in [
            &[][..],
            &["--block-size=4K"],
            &["--block-size", "4M", "--segment", "latency", "-9"],
            &["--pipeline", "lzf", "-1"],
            &["--pipeline", "rans", "--block-size", "1M", "-T1"],
        ] {
            sandbox.ok(&[flags, &["-f", "a"]].concat());
            sandbox.ok(&["-d", "-o", "b", "-f", "a.rvl"]);
            assert_eq!(sandbox.read("b"), content, "{} bytes with {flags:?}", content.len());
            sandbox.ok(&["-t", "a.rvl"]);
        }
    }
}

#[test]
fn an_existing_target_needs_force() {
    let sandbox = Sandbox::with("a", &text());
    sandbox.write("a.rvl", b"precious");
    let done = sandbox.run(&["a"]);
    done.expect(1, &["ranvil: a: a.rvl already exists; use -f"]);
    assert_eq!(sandbox.read("a.rvl"), b"precious");
    sandbox.ok(&["-f", "a"]);
    sandbox.run(&["-d", "a.rvl"]).expect(1, &["ranvil: a.rvl: a already exists"]);
    sandbox.write("a", b"old");
    sandbox.ok(&["-df", "a.rvl"]);
    assert_eq!(sandbox.read("a"), text());
    sandbox.run(&["a", "-o", "a.rvl"]).expect(1, &["already exists"]);
    assert_eq!(sandbox.names(), ["a", "a.rvl"]);
}

#[test]
fn keep_and_rm() {
    let sandbox = Sandbox::with("a", &text());
    sandbox.ok(&["--rm", "--keep", "a"]);
    assert_eq!(sandbox.names(), ["a", "a.rvl"]);
    sandbox.ok(&["-f", "-k", "--rm", "a"]);
    assert_eq!(sandbox.names(), ["a.rvl"]);
    sandbox.ok(&["-d", "--rm", "a.rvl"]);
    assert_eq!(sandbox.names(), ["a"]);
    assert_eq!(sandbox.read("a"), text());
}

#[test]
fn rm_keeps_the_source_of_a_failure() {
    let sandbox = Sandbox::with("a", &text());
    sandbox.write("a.rvl", b"precious");
    sandbox.run(&["--rm", "a"]).expect(1, &["already exists"]);
    sandbox.run(&["-d", "--rm", "-f", "a.rvl"]).expect(1, &["ranvil: a.rvl: not a ranvil frame"]);
    assert_eq!(sandbox.read("a"), text());
    assert_eq!(sandbox.read("a.rvl"), b"precious");
    assert_eq!(sandbox.names(), ["a", "a.rvl"]);
}

#[test]
fn rm_needs_two_files() {
    let sandbox = Sandbox::with("a", &text());
    for args in [
        &["--rm", "-c", "a"][..],
        &["--rm", "-t", "a"],
        &["--rm", "-l", "a"],
        &["--rm"],
        &["--rm", "-o-", "a"],
    ] {
        sandbox.run(args).expect(2, &["--rm"]);
    }
    assert_eq!(sandbox.names(), ["a"]);
}

#[test]
fn the_output_can_be_named() {
    let sandbox = Sandbox::with("a", &text());
    fs::create_dir(sandbox.path("d")).unwrap();
    sandbox.ok(&["a", "-o", "d/b"]);
    sandbox.ok(&["-d", "d/b", "--output=c"]);
    assert_eq!(sandbox.read("c"), text());
    sandbox.run(&["a", "c", "-o", "x"]).expect(2, &["-o takes one input"]);
    sandbox.run(&["a", "-c", "-o", "x"]).expect(2, &["cannot be used with"]);
    sandbox.run(&["a", "-o", "d"]).expect(1, &["ranvil: a: d is a directory"]);
    sandbox.run(&["a", "-f", "-o", "./a"]).expect(1, &["the output ./a is the source itself"]);
    sandbox.run(&["a", "-o", "none/b"]).expect(1, &["ranvil: a: cannot write none/b: "]);
    assert_eq!(sandbox.names(), ["a", "c", "d"]);
    assert_eq!(sandbox.read("a"), text());
}

/// In the user's words: nothing is said of temporary files.
#[test]
fn an_output_that_cannot_be_created_is_named() {
    let sandbox = Sandbox::with("a", &text());
    for (args, name) in [
        (&["a", "-o", "none/b"][..], "none/b"),
        (&["a", "--trace", "none/t"], "none/t"),
        (&["bench", "a", "--trace", "none/t"], "none/t"),
        (&["a", "-o", "a/b"], "a/b"),
    ] {
        let done = sandbox.run(args);
        done.expect(1, &[&format!("cannot write {name}: "), " (os error "]);
        assert!(done.stderr.ends_with(")\n") && !done.stderr.contains(".tmp"), "{}", done.stderr);
    }
    assert_eq!(sandbox.names(), ["a"]);
}

#[test]
fn a_name_that_looks_like_a_flag() {
    let sandbox = Sandbox::with("-d", &text());
    sandbox.ok(&["--", "-d"]);
    assert_eq!(sandbox.names(), ["-d", "-d.rvl"]);
}

#[test]
fn suffixes_decide_names() {
    let sandbox = Sandbox::compressed(&text());
    fs::rename(sandbox.path("a.rvl"), sandbox.path("b.gz")).unwrap();
    sandbox
        .run(&["-d", "b.gz"])
        .expect(1, &["ranvil: b.gz: has not the suffix .rvl; name the output with -o"]);
    assert_eq!(sandbox.ok(&["-dc", "b.gz"]), text());
    sandbox.ok(&["-d", "b.gz", "-o", "b"]);
    assert_eq!(sandbox.read("b"), text());
    sandbox.ok(&["-t", "b.gz"]);
    fs::rename(sandbox.path("b.gz"), sandbox.path("b.rvl")).unwrap();
    sandbox.run(&["b.rvl"]).expect(1, &["already has the suffix .rvl"]);
    sandbox.ok(&["-f", "b.rvl"]);
    assert_eq!(sandbox.names(), ["a", "b", "b.rvl", "b.rvl.rvl"]);
}

#[test]
fn a_bad_file_does_not_stop_the_others() {
    let sandbox = Sandbox::compressed(&text());
    fs::remove_file(sandbox.path("a")).unwrap();
    fs::copy(sandbox.path("a.rvl"), sandbox.path("c.rvl")).unwrap();
    sandbox.write("b.rvl", b"\x89RVL and then nonsense");
    let done = sandbox.run(&["-d", "a.rvl", "b.rvl", "missing.rvl", "c.rvl"]);
    done.expect(1, &["ranvil: b.rvl: ", "ranvil: missing.rvl: "]);
    assert_eq!(done.stderr.lines().count(), 2, "{}", done.stderr);
    assert_eq!(sandbox.names(), ["a", "a.rvl", "b.rvl", "c", "c.rvl"]);
    assert_eq!(sandbox.read("a"), text());
    assert_eq!(sandbox.read("c"), text());
}

#[test]
fn directories_are_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("d")).unwrap();
    for args in [&["d"][..], &["-c", "d"], &["-d", "d"], &["-t", "d"], &["-l", "d"], &["-f", "d"]] {
        sandbox.run(args).expect(1, &["ranvil: d: is a directory"]);
    }
    assert_eq!(sandbox.names(), ["d"]);
}

#[test]
fn the_modification_time_is_kept() {
    let sandbox = Sandbox::with("a", &text());
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(sandbox.path("a")).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
    sandbox.ok(&["a"]);
    sandbox.ok(&["-d", "a.rvl", "-o", "b"]);
    for name in ["a.rvl", "b"] {
        assert_eq!(fs::metadata(sandbox.path(name)).unwrap().modified().unwrap(), time, "{name}");
    }
}

#[test]
fn read_only_files_stay_read_only() {
    let sandbox = Sandbox::with("a", &text());
    let mut permissions = fs::metadata(sandbox.path("a")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(sandbox.path("a"), permissions).unwrap();
    sandbox.ok(&["a"]);
    assert!(fs::metadata(sandbox.path("a.rvl")).unwrap().permissions().readonly());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode(sandbox: &Sandbox, name: &str) -> u32 {
        fs::metadata(sandbox.path(name)).unwrap().mode() & 0o7777
    }

    #[test]
    fn permissions_are_kept_without_set_user_id() {
        for (before, after) in [(0o640, 0o640), (0o600, 0o600), (0o755, 0o755), (0o4755, 0o755)] {
            let sandbox = Sandbox::with("a", &text());
            fs::set_permissions(sandbox.path("a"), fs::Permissions::from_mode(before)).unwrap();
            sandbox.ok(&["a"]);
            assert_eq!(mode(&sandbox, "a.rvl"), after);
        }
    }

    #[test]
    fn a_file_from_a_pipe_obeys_the_umask() {
        let sandbox = Sandbox::with("a", &text());
        sandbox.shell("umask 027; $RANVIL -o b < a").expect(0, &[]);
        assert_eq!(mode(&sandbox, "b"), 0o640);
    }

    #[test]
    fn symbolic_links_are_followed_only_on_request() {
        let sandbox = Sandbox::with("a", &text());
        symlink("a", sandbox.path("link")).unwrap();
        sandbox.run(&["link"]).expect(1, &["ranvil: link: is a symbolic link; use -f"]);
        assert_eq!(sandbox.names(), ["a", "link"]);
        let coded = sandbox.ok(&["-c", "link"]);
        sandbox.ok(&["-f", "link"]);
        assert_eq!(sandbox.read("link.rvl"), coded);
        sandbox.ok(&["-f", "--rm", "link"]);
        assert_eq!(
            sandbox.names(),
            ["a", "link.rvl"],
            "--rm removes the link, not what it points to"
        );
    }

    #[test]
    fn a_link_in_the_target_s_place_is_never_written_through() {
        let sandbox = Sandbox::with("a", &text());
        sandbox.write("precious", b"precious");
        symlink("precious", sandbox.path("a.rvl")).unwrap();
        sandbox.run(&["a"]).expect(1, &["a.rvl already exists"]);
        sandbox.ok(&["-f", "a"]);
        assert_eq!(sandbox.read("precious"), b"precious");
        assert!(!fs::symlink_metadata(sandbox.path("a.rvl")).unwrap().is_symlink());
        symlink("nowhere", sandbox.path("b")).unwrap();
        sandbox.run(&["a", "-o", "b"]).expect(1, &["b already exists"]);
    }

    #[test]
    fn special_files_are_read_only_on_request() {
        let sandbox = Sandbox::with("a", &text());
        sandbox.shell("mkfifo fifo").expect(0, &[]);
        sandbox.run(&["fifo"]).expect(1, &["ranvil: fifo: is not a regular file"]);
        sandbox.run(&["--rm", "-o", "b", "fifo"]).expect(1, &["--rm removes regular files only"]);
        sandbox.shell("cat a > fifo & $RANVIL -c fifo > b; wait").expect(0, &[]);
        assert_eq!(sandbox.ok(&["-dc", "b"]), text());
    }

    #[test]
    fn a_device_as_output_is_written_not_replaced() {
        let sandbox = Sandbox::with("a", &text());
        sandbox.ok(&["a", "-o", "/dev/null"]);
        sandbox
            .run(&["--rm", "a", "-o", "/dev/null"])
            .expect(1, &["--rm needs an output that can be read back"]);
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn names_need_not_be_unicode() {
        use std::os::unix::ffi::OsStrExt;
        let sandbox = Sandbox::new();
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
        fs::write(sandbox.path("").join(name), text()).unwrap();
        let mut command = sandbox.command(&["--rm"]);
        command.arg(name);
        crate::harness::run(command).expect(0, &[]);
        let coded = sandbox.path("").join(std::ffi::OsStr::from_bytes(b"caf\xe9.rvl"));
        assert!(fs::metadata(coded).unwrap().len() > 0);
    }
}
