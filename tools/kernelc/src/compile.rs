//! GLSL to SPIR-V.

use std::path::Path;

use shaderc::{
    CompileOptions, Compiler, EnvVersion, IncludeType, OptimizationLevel, ResolvedInclude,
    ShaderKind, TargetEnv,
};

use crate::{
    Error, Kernel, Result, Variant, reflect,
    source::{self, Declared},
    validate,
};

/// Compiles and checks every variant of the kernel in `path`.
pub fn kernel(path: &Path) -> Result<Kernel> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = source::read(path)?;
    let mut interface = None;
    let mut variants: Vec<Variant> = Vec::new();
    for declared in source::variants(&name, &source::with_includes(path, &text)?)? {
        let place = format!("{name}: variant {}", declared.name);
        if variants.iter().any(|v| v.name == declared.name) {
            return Err(Error(format!("{place} is declared twice")));
        }
        let plain = spirv(path, &text, &declared, OptimizationLevel::Zero)?;
        let (own, facts) = reflect::module(&place, &plain)?;
        validate::check(&place, &declared, &plain, &facts)?;
        // Every variant takes the same buffers and constants: the host records a kernel, not a variant.
        match &interface {
            None => interface = Some(own),
            Some(first) if *first == own => {}
            Some(_) => {
                return Err(Error(format!("{place} has another interface than the first variant")));
            }
        }
        let spirv = spirv(path, &text, &declared, OptimizationLevel::Performance)?;
        let Declared { name, form, storage16, streams, .. } = declared;
        variants.push(Variant { name, form, storage16, streams, facts, spirv });
    }
    let interface = interface.ok_or_else(|| Error(format!("{name}: no variant")))?;
    Ok(Kernel { name, interface, variants })
}

fn spirv(
    path: &Path,
    text: &str,
    variant: &Declared,
    level: OptimizationLevel,
) -> Result<Vec<u32>> {
    let shaderc =
        |e: shaderc::Error| Error(format!("{}: variant {}: {e}", path.display(), variant.name));
    let compiler = Compiler::new().map_err(shaderc)?;
    let mut options = CompileOptions::new().map_err(shaderc)?;
    options.set_target_env(TargetEnv::Vulkan, EnvVersion::Vulkan1_2 as u32);
    options.set_optimization_level(level);
    options.set_warnings_as_errors();
    for (key, value) in &variant.macros {
        options.add_macro_definition(key, Some(value));
    }
    let shared = path.with_file_name("shared");
    options.set_include_callback(move |file, kind, _, _| {
        if kind != IncludeType::Relative {
            return Err("includes are written with quotes".to_owned());
        }
        let resolved = shared.join(file);
        let content = source::read(&resolved).map_err(|e| e.to_string())?;
        Ok(ResolvedInclude { resolved_name: resolved.display().to_string(), content })
    });
    let file = path.display().to_string();
    let artifact = compiler
        .compile_into_spirv(text, ShaderKind::Compute, &file, "main", Some(&options))
        .map_err(shaderc)?;
    Ok(artifact.as_binary().to_vec())
}
