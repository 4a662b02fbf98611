//! `--device`, `RANVIL_DEVICE` and `--list-devices`.

use serde_json::Value;

use crate::harness::{Sandbox, run, text};

fn devices(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&sandbox.ok(&["--list-devices", "--json"])).expect("JSON")
}

#[test]
fn the_cpu_is_always_there() {
    let sandbox = Sandbox::with("a", &text());
    let mut coded = Vec::new();
    for args in [
        &["-c", "--device", "cpu", "a"][..],
        &["-c", "--device=cpu", "-T1", "a"],
        &["-c", "-T", "3", "a"],
    ] {
        coded.push(sandbox.ok(args));
    }
    assert!(
        coded.iter().all(|bytes| *bytes == coded[0]),
        "the bytes depend on the device or the threads"
    );
}

#[test]
fn every_listed_device_is_described() {
    let sandbox = Sandbox::new();
    let document = devices(&sandbox);
    let table = sandbox.run(&["--list-devices"]);
    table.expect(0, &[]);
    assert!(table.text().contains("--device cpu"));
    let list = document["devices"].as_array().unwrap();
    assert_eq!(list.is_empty(), !table.text().contains("uuid="));
    for (index, device) in list.iter().enumerate() {
        assert_eq!(device["index"], index);
        for field in ["name", "type", "driver", "driver_version", "api_version", "uuid"] {
            let value = device[field].as_str().unwrap();
            assert!(
                field == "api_version" || table.text().contains(value),
                "{field} {value} is not in the table"
            );
        }
        for field in [
            "subgroup_size",
            "subgroup_size_min",
            "subgroup_size_max",
            "memory_bytes",
            "vendor_id",
            "device_id",
        ] {
            assert!(device[field].is_u64(), "{field}: {}", device[field]);
        }
        assert_eq!(device["usable"].as_bool().unwrap(), device["reason"].is_null());
        assert!(device["software"].is_boolean());
    }
    // Without devices it says why, in the system's words.
    let narrow = table.text().lines().all(|line| line.chars().count() <= 120);
    assert!(narrow || list.is_empty(), "{}", table.text());
}

#[test]
fn a_missing_device_is_an_error_that_lists_what_exists() {
    let sandbox = Sandbox::with("a", &text());
    let document = devices(&sandbox);
    let refused = |args: &[&str], variable: &str| {
        let mut command = sandbox.command(args);
        command.env("RANVIL_DEVICE", variable);
        let done = run(command);
        done.expect(1, &["ranvil: a: "]);
        // It is said who chose it.
        let by_variable = done.stderr.starts_with("ranvil: a: RANVIL_DEVICE: ");
        assert_eq!(by_variable, !args.contains(&"--device"), "{}", done.stderr);
        match document["problem"].as_str() {
            Some(problem) => assert!(done.stderr.contains(problem), "{}", done.stderr),
            None => done.expect(1, &["name=NoSuchDevice"]),
        }
        for device in document["devices"].as_array().unwrap() {
            assert!(done.stderr.contains(device["name"].as_str().unwrap()), "{}", done.stderr);
        }
        assert_eq!(sandbox.names(), ["a"]);
    };
    refused(&["--device", "name=NoSuchDevice", "a"], "cpu");
    refused(&["a"], "name=NoSuchDevice");
}

#[test]
fn the_flag_goes_before_the_environment() {
    let sandbox = Sandbox::with("a", &text());
    let mut command = sandbox.command(&["--device", "cpu", "a"]);
    command.env("RANVIL_DEVICE", "name=NoSuchDevice");
    run(command).expect(0, &[]);
}

/// It is wrong usage, as it is with `--device`, and no file's fault; what needs no device does not ask.
#[test]
fn a_bad_environment_is_wrong_usage() {
    let sandbox = Sandbox::compressed(&text());
    let with = |variable: &str, args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("RANVIL_DEVICE", variable);
        run(command)
    };
    for args in [&["-f", "a"][..], &["-df", "a.rvl"], &["-t", "a.rvl"], &["bench", "a"]] {
        let done = with("nonsense", args);
        done.expect(2, &["RANVIL_DEVICE: \"nonsense\" is no device: use cpu"]);
        assert!(!done.stderr.contains("a: "), "{}", done.stderr);
        with("auto,0", args).expect(2, &["RANVIL_DEVICE: ", "name it alone"]);
    }
    let strict = &["-f", "--pipeline", "rans", "--stage0", "gpu", "a"];
    with("cpu", strict).expect(2, &["RANVIL_DEVICE: ", "none can go to a GPU"]);
    sandbox.run(&["-d", "--device", "auto,0", "a.rvl"]).expect(2, &["name it alone"]);
    for args in [&["-l", "a.rvl"][..], &["--list-devices"], &["--pipeline"], &["--generate", "man"]]
    {
        with("nonsense", args).expect(0, &[]);
    }
}

/// Falling back to `auto` would be silent.
#[cfg(unix)]
#[test]
fn an_environment_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::with("a", &text());
    let mut command = sandbox.command(&["a"]);
    command.env("RANVIL_DEVICE", std::ffi::OsStr::from_bytes(b"name=\xFF"));
    let problem = devices(&sandbox)["problem"].as_str().map(str::to_owned);
    run(command).expect(1, &[problem.as_deref().unwrap_or("name=")]);
    let mut command = sandbox.command(&["a"]);
    command.env("RANVIL_DEVICE", std::ffi::OsStr::from_bytes(b"\xFF"));
    run(command).expect(2, &["RANVIL_DEVICE: ", "is no device"]);
}

/// What says so depends on the machine: the loader that finds no driver, or the lack of a loader.
#[test]
fn without_a_driver_the_cpu_works() {
    let sandbox = Sandbox::with("a", &text());
    let library = r#"{"library_path": "./a", "api_version": "1.3.0"}"#;
    let manifest = format!(r#"{{"file_format_version": "1.0.0", "ICD": {library}}}"#);
    sandbox.write("driver.json", manifest.as_bytes());
    for driver in ["nowhere.json", "driver.json"] {
        let without = |args: &[&str]| {
            let mut command = sandbox.command(args);
            for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
                command.env(variable, sandbox.path(driver));
            }
            command.env_remove("RANVIL_DEVICE");
            run(command)
        };
        let list = without(&["--list-devices"]);
        list.expect(0, &[]);
        assert!(list.text().starts_with("no Vulkan "), "{}", list.text());
        assert!(list.text().contains("--device cpu"), "{}", list.text());
        without(&["-f", "a"]).expect(0, &[]);
        without(&["-f", "--device", "0", "a"]).expect(1, &["ranvil: a: no Vulkan "]);
    }
}

/// A loader that cannot be loaded stands for one that is not there.
#[cfg(target_os = "linux")]
#[test]
fn without_a_loader_the_cpu_works() {
    let sandbox = Sandbox::with("libvulkan.so.1", b"no library");
    sandbox.write("libvulkan.so", b"no library");
    sandbox.write("a", &text());
    let without = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("LD_LIBRARY_PATH", sandbox.path("")).env_remove("RANVIL_DEVICE");
        run(command)
    };
    let list = without(&["--list-devices"]);
    list.expect(0, &[]);
    assert!(
        list.text().contains("no Vulkan loader") && list.text().contains("--device cpu"),
        "{}",
        list.text()
    );
    let json: Value =
        serde_json::from_slice(&without(&["--list-devices", "--json"]).stdout).unwrap();
    assert!(json["problem"].as_str().unwrap().contains("no Vulkan loader"));
    assert_eq!(json["devices"].as_array().unwrap().len(), 0);
    without(&["a"]).expect(0, &[]);
    without(&["-f", "--device", "0", "a"]).expect(1, &["ranvil: a: no Vulkan loader"]);
}
