//! What the build refuses, and what it generates.

use std::{fs, path::Path};

/// Builds one kernel and returns the generated Rust or the error.
fn build(name: &str, source: &str) -> Result<String, String> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (kernels, out) = (root.join("kernels"), root.join("out"));
    fs::create_dir_all(kernels.join("shared")).unwrap();
    fs::create_dir_all(&out).unwrap();
    fs::write(kernels.join("shared/sizes.glsl"), "#define SIZE 64\n").unwrap();
    fs::write(kernels.join("kernel.comp"), source).unwrap();
    ranvil_kernelc::build(&kernels, &out).map_err(|error| error.to_string())?;
    Ok(fs::read_to_string(out.join("generated.rs")).unwrap())
}

const BUFFER: &str = "layout(std430, binding = 0) buffer B { uint b[]; };";

/// A kernel around a body, with a buffer `b`.
fn kernel(head: &str, body: &str) -> String {
    format!(
        "#version 450\n{head}\nlayout(local_size_x = 64) in;\n{BUFFER}\nvoid main() {{ {body} }}\n"
    )
}

#[test]
fn descriptors_and_structs_are_generated() {
    let source = "#version 450
// variant: one N=1
// variant: two N=2
#include \"sizes.glsl\"
layout(local_size_x = SIZE, local_size_x_id = 0) in;
layout(constant_id = 3) const uint LOG = 5;
struct Item { uint first; uvec2 pair; uint rest[3]; };
layout(push_constant) uniform Push { uint count; float scale; };
layout(std430, binding = 0) readonly buffer Items { Item items[]; };
layout(std430, binding = 1) writeonly buffer Sums { uint sums[]; };
shared uint cache[2 * gl_WorkGroupSize.x + (1 << LOG)];
void main() { cache[0] = items[0].first * N; sums[0] = cache[0] + count; }";
    // A vector of two is aligned to 8 bytes in GLSL and to 4 in Rust.
    let error = build("misaligned", source).unwrap_err();
    assert!(error.contains("struct Item, member pair"), "{error}");
    let generated = build(
        "generated",
        &source.replace("uint first;", "uint first; uint pad;").replace("[3]", "[4]"),
    )
    .unwrap();
    for line in [
        "pub struct Item {",
        "    pub pair: [u32; 2],",
        "    assert!(std::mem::offset_of!(Item, rest) == 16);",
        "    assert!(size_of::<Item>() == 32);",
        "    pub scale: f32,",
        "            BindingDesc { name: \"items\", binding: 0, writes: false },",
        "            BindingDesc { name: \"sums\", binding: 1, writes: true },",
        "            SpecDesc { id: 0, name: \"WORKGROUP\" },",
        "            SpecDesc { id: 3, name: \"LOG\" },",
        "                name: \"two\",",
        "                workgroup: [64, 1, 1],",
        "                shared_bytes: 640,",
    ] {
        assert!(generated.lines().any(|l| l == line), "no line {line:?} in\n{generated}");
    }
}

#[test]
fn rules_are_enforced() {
    let subgroups = "#extension GL_KHR_shader_subgroup_ballot : require";
    let arithmetic = "#extension GL_KHR_shader_subgroup_arithmetic : require";
    let half = "#extension GL_EXT_shader_16bit_storage : require\n\
                layout(std430, binding = 1) buffer H { uint16_t h[]; };";
    let byte = "#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require\n\
                layout(constant_id = 4) const uint MANY = 1;\n\
                shared uint8_t s[MANY > 0u ? 4096u : 4u];";
    let dots = "#extension GL_EXT_spirv_intrinsics : require\n\
                spirv_instruction(extensions = [\"SPV_KHR_integer_dot_product\"], capabilities = [6018, 6019], id = 4451)\n\
                uint dot_bytes(uint x, uint y, spirv_literal uint format);";
    let dot = "b[0] = dot_bytes(b[1], 256u, 0);";
    let bytes = "s[b[0]] = uint8_t(b[1]); b[2] = uint(s[b[3]]);";
    let ballot = "b[0] = subgroupBallot(true).x;";
    let variant = "// variant: s SUBGROUP=32\n";
    let good = [
        ("plain", kernel("", "b[0] = 1;")),
        ("ballot", kernel(&format!("{variant}{subgroups}"), ballot)),
        (
            "half_declared",
            kernel(&format!("// variant: h STORAGE16=1\n{half}"), "b[0] = uint(h[0]);"),
        ),
        ("dot_declared", kernel(&format!("// variant: d DOT=1\n{dots}"), dot)),
    ];
    for (name, source) in good {
        build(name, &source).unwrap();
    }
    let declared = kernel(&format!("// variant: y INT8=1\n{byte}"), bytes);
    assert!(build("byte_declared", &declared).unwrap().contains("shared_bytes: 4096,"));
    let bad = [
        ("undeclared_ballot", kernel(subgroups, ballot), "GroupNonUniform"),
        (
            "arithmetic",
            kernel(&format!("{variant}{arithmetic}"), "b[0] = subgroupAdd(1u);"),
            "GroupNonUniformArithmetic",
        ),
        ("half", kernel(half, "b[0] = uint(h[0]);"), "StorageBuffer16BitAccess"),
        ("byte", kernel(byte, bytes), "Int8"),
        ("dot", kernel(dots, dot), "DotProduct"),
        ("double", kernel("", "b[0] = uint(double(b[1]) * 0.5lf);"), "Float64"),
        ("invocations", kernel("", "").replace("= 64", "= 512"), "512 invocations"),
        (
            "shared_memory",
            kernel("shared uint s[8193];", "s[b[0]] = 1; b[1] = s[b[2]];"),
            "32772 bytes",
        ),
        (
            "set",
            kernel("", "b[0] = 1;").replace("binding = 0", "set = 1, binding = 0"),
            "descriptor set 0",
        ),
        ("gap", kernel("", "b[0] = 1;").replace("binding = 0", "binding = 1"), "bindings are not"),
        (
            "partial",
            kernel("// variant: s SUBGROUP=64", "b[0] = 1;").replace("= 64)", "= 32)"),
            "whole subgroups",
        ),
        ("syntax", kernel("", "b[0] = ;"), "syntax error"),
        ("missing_include", kernel("#include \"none.glsl\"", ""), "none.glsl"),
    ];
    for (name, source, reason) in bad {
        let error = build(name, &source).expect_err(name);
        assert!(error.contains("kernel") && error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn variants_have_one_interface() {
    let source = "#version 450
// variant: a N=1
// variant: b N=2
layout(local_size_x = 64) in;
#if N == 1
layout(std430, binding = 0) readonly buffer B { uint b[]; };
#else
layout(std430, binding = 0) readonly buffer B { uint other[]; };
#endif
void main() {}";
    let error = build("interface", source).unwrap_err();
    assert!(error.contains("variant b"), "{error}");
}

#[test]
fn prebuilt_kernels_carry_the_checksum_of_their_sources() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prebuilt");
    fs::create_dir_all(root.join("shared")).unwrap();
    fs::write(root.join("kernel.comp"), kernel("", "b[0] = 1;")).unwrap();
    let prebuilt = ranvil_kernelc::write_prebuilt(&root).unwrap();
    let sum = fs::read_to_string(prebuilt.join("sources.sum")).unwrap();
    assert_eq!(sum.trim(), format!("{:016x}", ranvil_kernelc::checksum(&root).unwrap()));
    assert!(prebuilt.join("kernel.any.spv").exists() && prebuilt.join("generated.rs").exists());
    fs::write(root.join("kernel.comp"), kernel("", "b[0] = 2;")).unwrap();
    assert_ne!(sum.trim(), format!("{:016x}", ranvil_kernelc::checksum(&root).unwrap()));
}

#[test]
fn experiments_change_macros_and_nothing_that_the_host_sees() {
    use ranvil_kernelc::Experiment;
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("experiments");
    fs::create_dir_all(root.join("shared")).unwrap();
    let source = "#version 450
// variant: one N=1
// variant: two N=2
layout(local_size_x = 64) in;
#if N > 8
layout(push_constant) uniform Push { uint count; };
#endif
layout(std430, binding = 0) buffer B { uint b[]; };
void main() { b[0] = N; }";
    fs::write(root.join("kernel.comp"), source).unwrap();
    let experiment =
        Experiment { name: "n7", kernels: &["kernel"], variants: &["tw"], macros: &[("N", "7")] };
    ranvil_kernelc::build_experiments(&root, &root, &[experiment]).unwrap();
    let generated = fs::read_to_string(root.join("experiments.rs")).unwrap();
    assert!(generated.contains("\"two+n7\"") && !generated.contains("\"one"), "{generated}");
    assert!(root.join("kernel.two+n7.spv").exists());
    let other = Experiment { macros: &[("N", "9")], ..experiment };
    let error = ranvil_kernelc::build_experiments(&root, &root, &[other]).unwrap_err();
    assert!(error.to_string().contains("another interface"), "{error}");
    let none = Experiment { kernels: &["other"], ..experiment };
    ranvil_kernelc::build_experiments(&root, &root, &[none]).unwrap();
}
