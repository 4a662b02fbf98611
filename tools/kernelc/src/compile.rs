//! GLSL to SPIR-V.

use std::path::Path;

use shaderc::{
    CompileOptions, Compiler, EnvVersion, IncludeType, OptimizationLevel, ResolvedInclude,
    ShaderKind, TargetEnv,
};

use crate::{
    Error, Experiment, Kernel, Result, Variant,
    reflect::{self, Interface},
    source::{self, Declared},
    validate,
};

/// Compiles and checks every variant of the kernel in `path`.
pub fn kernel(path: &Path) -> Result<Kernel> {
    let source = Source::read(path)?;
    let declared = source.declared()?;
    let (interface, variants) = source.compile(declared, None)?;
    let interface = interface.ok_or_else(|| Error(format!("{}: no variant", source.name)))?;
    Ok(Kernel { name: source.name, interface, variants })
}

/// The same of the variants that the experiments make of the kernel's own; `None` if they make none. They have the
/// interface of the kernel's first variant.
pub fn experiments(path: &Path, experiments: &[Experiment<'_>]) -> Result<Option<Kernel>> {
    let source = Source::read(path)?;
    let own = source.declared()?;
    let derived =
        experiments.iter().flat_map(|one| own.iter().map(|from| one.of(&source.name, from)));
    let derived: Vec<Declared> = derived.filter_map(Result::transpose).collect::<Result<_>>()?;
    let Some(first) = own.first().filter(|_| !derived.is_empty()) else { return Ok(None) };
    let plain = spirv(path, &source.text, first, OptimizationLevel::Zero)?;
    let (interface, _) = reflect::module(&source.name, &plain)?;
    let (interface, variants) = source.compile(derived, Some(interface))?;
    Ok(interface.map(|interface| Kernel { name: source.name, interface, variants }))
}

/// A kernel's file.
struct Source<'a> {
    path: &'a Path,
    name: String,
    text: String,
}

impl<'a> Source<'a> {
    fn read(path: &'a Path) -> Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path, name, text: source::read(path)? })
    }

    fn declared(&self) -> Result<Vec<Declared>> {
        source::variants(&self.name, &source::with_includes(self.path, &self.text)?)
    }

    /// Compiles variants, all of which must have one interface: the host records a kernel, not a variant.
    fn compile(
        &self,
        declared: Vec<Declared>,
        mut interface: Option<Interface>,
    ) -> Result<(Option<Interface>, Vec<Variant>)> {
        let mut variants: Vec<Variant> = Vec::new();
        for declared in declared {
            let place = format!("{}: variant {}", self.name, declared.name);
            if variants.iter().any(|v| v.name == declared.name) {
                return Err(Error(format!("{place} is declared twice")));
            }
            let plain = spirv(self.path, &self.text, &declared, OptimizationLevel::Zero)?;
            let (own, facts) = reflect::module(&place, &plain)?;
            validate::check(&place, &declared, &plain, &facts)?;
            if interface.get_or_insert_with(|| own.clone()) != &own {
                return Err(Error(format!("{place} has another interface than the first variant")));
            }
            let spirv = spirv(self.path, &self.text, &declared, OptimizationLevel::Performance)?;
            let Declared { name, form, storage16, streams, .. } = declared;
            variants.push(Variant { name, form, storage16, streams, facts, spirv });
        }
        Ok((interface, variants))
    }
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
