//! What a SPIR-V module says about itself. Reads the unoptimised module: an optimiser strips names.

use std::collections::{BTreeMap, HashMap};

use rspirv::{
    dr::{Instruction, Module, Operand},
    spirv::{BuiltIn, Capability, Decoration, ExecutionMode, Op, StorageClass},
};

use crate::{Error, Result};

/// What the host must agree with; the same for all variants of a kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct Interface {
    /// Storage buffers in binding order.
    pub bindings: Vec<Binding>,
    pub push: Option<Struct>,
    /// Specialisation constants by identifier, with names.
    pub spec: BTreeMap<u32, String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Binding {
    pub binding: u32,
    /// Name of the block's member.
    pub name: String,
    pub writes: bool,
    /// The struct that the buffer is an array of, if it is one.
    pub element: Option<Struct>,
}

/// A struct as laid out in memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Struct {
    pub name: String,
    pub size: u32,
    pub members: Vec<Member>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    pub name: String,
    pub offset: u32,
    pub scalar: Scalar,
    /// Length, for an array or vector.
    pub length: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scalar {
    U32,
    I32,
    F32,
}

/// What may differ between variants, at the default specialisation.
pub struct Facts {
    pub workgroup: [u32; 3],
    pub shared_bytes: u32,
    pub capabilities: Vec<Capability>,
}

/// Reflects a module; `place` names it in errors.
pub fn module(place: &str, words: &[u32]) -> Result<(Interface, Facts)> {
    let module = rspirv::dr::load_words(words).map_err(|e| Error(format!("{place}: {e}")))?;
    let reader = Reader::new(place, &module);
    Ok((reader.interface()?, reader.facts()?))
}

/// An index over a module's global instructions.
struct Reader<'a> {
    place: &'a str,
    module: &'a Module,
    values: HashMap<u32, &'a Instruction>,
    names: HashMap<u32, &'a str>,
    member_names: HashMap<(u32, u32), &'a str>,
    decorations: HashMap<(u32, Decoration), u32>,
    member_decorations: HashMap<(u32, u32, Decoration), u32>,
}

impl<'a> Reader<'a> {
    fn new(place: &'a str, module: &'a Module) -> Self {
        let mut reader = Self {
            place,
            module,
            values: module
                .types_global_values
                .iter()
                .filter_map(|i| Some((i.result_id?, i)))
                .collect(),
            names: HashMap::new(),
            member_names: HashMap::new(),
            decorations: HashMap::new(),
            member_decorations: HashMap::new(),
        };
        for i in &module.debug_names {
            match i.operands.as_slice() {
                [Operand::IdRef(id), Operand::LiteralString(name)] => {
                    reader.names.insert(*id, name);
                }
                [
                    Operand::IdRef(id),
                    Operand::LiteralBit32(member),
                    Operand::LiteralString(name),
                ] => {
                    reader.member_names.insert((*id, *member), name);
                }
                _ => {}
            }
        }
        for i in &module.annotations {
            match i.operands.as_slice() {
                [Operand::IdRef(id), Operand::Decoration(d), rest @ ..] => {
                    reader.decorations.insert((*id, *d), literal(rest));
                }
                [
                    Operand::IdRef(id),
                    Operand::LiteralBit32(member),
                    Operand::Decoration(d),
                    rest @ ..,
                ] => {
                    reader.member_decorations.insert((*id, *member, *d), literal(rest));
                }
                _ => {}
            }
        }
        reader
    }

    fn interface(&self) -> Result<Interface> {
        let mut bindings = Vec::new();
        let mut push = None;
        for (variable, class, pointee) in self.variables()? {
            match class {
                StorageClass::StorageBuffer => bindings.push(self.binding(variable, pointee)?),
                StorageClass::PushConstant => push = Some(self.structure(pointee)?),
                StorageClass::Input | StorageClass::Workgroup | StorageClass::Private => {}
                other => return self.fail(format!("a variable has the storage class {other:?}")),
            }
        }
        bindings.sort_by_key(|b| b.binding);
        if bindings.iter().zip(0..).any(|(b, index)| b.binding != index) {
            return self.fail("bindings are not 0, 1, 2, … each used once".to_owned());
        }
        let workgroup = self.workgroup_ids();
        let spec = self.decorations.iter().filter(|((_, d), _)| *d == Decoration::SpecId);
        let spec = spec
            .map(|(&(id, _), &spec_id)| {
                let name = if workgroup.contains(&id) { "WORKGROUP" } else { self.name(id)? };
                Ok((spec_id, name.to_owned()))
            })
            .collect::<Result<_>>()?;
        Ok(Interface { bindings, push, spec })
    }

    fn facts(&self) -> Result<Facts> {
        let workgroup = match self.workgroup_ids().as_slice() {
            [x, y, z] => [self.constant(*x)?, self.constant(*y)?, self.constant(*z)?],
            _ => self.local_size()?,
        };
        let mut shared_bytes = 0;
        for (_, class, pointee) in self.variables()? {
            if class == StorageClass::Workgroup {
                shared_bytes += self.size(pointee)?;
            }
        }
        let capabilities = self.module.capabilities.iter().filter_map(|i| match i.operands[..] {
            [Operand::Capability(capability)] => Some(capability),
            _ => None,
        });
        Ok(Facts { workgroup, shared_bytes, capabilities: capabilities.collect() })
    }

    /// Every global variable with its storage class and the type that it points to.
    fn variables(&self) -> Result<Vec<(u32, StorageClass, u32)>> {
        let variables =
            self.module.types_global_values.iter().filter(|i| i.class.opcode == Op::Variable);
        variables
            .map(|i| {
                match (self.value(i.result_type.unwrap_or(0))?.operands.as_slice(), i.result_id) {
                    ([Operand::StorageClass(class), Operand::IdRef(pointee)], Some(id)) => {
                        Ok((id, *class, *pointee))
                    }
                    _ => self.fail("a variable is no pointer".to_owned()),
                }
            })
            .collect()
    }

    fn binding(&self, variable: u32, block: u32) -> Result<Binding> {
        if self.decorations.get(&(variable, Decoration::DescriptorSet)) != Some(&0) {
            return self.fail(format!("{} is not in descriptor set 0", self.name(block)?));
        }
        let Some(&binding) = self.decorations.get(&(variable, Decoration::Binding)) else {
            return self.fail(format!("{} has no binding", self.name(block)?));
        };
        let &[Operand::IdRef(array)] = self.value(block)?.operands.as_slice() else {
            return self.fail(format!("{} is not one runtime array", self.name(block)?));
        };
        let &[Operand::IdRef(element)] = self.value(array)?.operands.as_slice() else {
            return self.fail(format!("{} is not one runtime array", self.name(block)?));
        };
        let read_only = self.decorations.contains_key(&(variable, Decoration::NonWritable))
            || self.member_decorations.contains_key(&(block, 0, Decoration::NonWritable));
        let mut structure = None;
        if self.value(element)?.class.opcode == Op::TypeStruct {
            let mut element = self.structure(element)?;
            let stride =
                self.decorations.get(&(array, Decoration::ArrayStride)).copied().unwrap_or(0);
            if stride != element.size {
                return self.fail(format!(
                    "struct {}: the array stride is {stride}, the members end at {}: pad it explicitly",
                    element.name, element.size
                ));
            }
            element.size = stride;
            structure = Some(element);
        }
        let name = self.member_names.get(&(block, 0)).copied().unwrap_or_default().to_owned();
        Ok(Binding { binding, name, writes: !read_only, element: structure })
    }

    /// A struct that Rust's `repr(C)` lays out in the same way, or an error naming the member that it does not.
    fn structure(&self, id: u32) -> Result<Struct> {
        let name = self.name(id)?.to_owned();
        let mut members = Vec::new();
        let mut end = 0;
        for (operand, index) in self.value(id)?.operands.iter().zip(0..) {
            let member =
                self.member_names.get(&(id, index)).copied().unwrap_or_default().to_owned();
            let place = format!("struct {name}, member {member}");
            let &Operand::IdRef(ty) = operand else {
                return self.fail(format!("{place} has no type"));
            };
            let (scalar, length) = self.mirror(&place, ty)?;
            let offset = self
                .member_decorations
                .get(&(id, index, Decoration::Offset))
                .copied()
                .unwrap_or(u32::MAX);
            if offset != end {
                return self.fail(format!(
                    "{place} is at offset {offset}, in Rust it would be at {end}: pad it"
                ));
            }
            end += 4 * length.unwrap_or(1);
            members.push(Member { name: member, offset, scalar, length });
        }
        Ok(Struct { name, size: end, members })
    }

    fn mirror(&self, place: &str, ty: u32) -> Result<(Scalar, Option<u32>)> {
        let i = self.value(ty)?;
        match (i.class.opcode, i.operands.as_slice()) {
            (Op::TypeInt, [Operand::LiteralBit32(32), Operand::LiteralBit32(0)]) => {
                Ok((Scalar::U32, None))
            }
            (Op::TypeInt, [Operand::LiteralBit32(32), Operand::LiteralBit32(1)]) => {
                Ok((Scalar::I32, None))
            }
            (Op::TypeFloat, [Operand::LiteralBit32(32), ..]) => Ok((Scalar::F32, None)),
            (Op::TypeVector, [Operand::IdRef(of), Operand::LiteralBit32(length)]) => {
                Ok((self.mirror(place, *of)?.0, Some(*length)))
            }
            (Op::TypeArray, [Operand::IdRef(of), Operand::IdRef(length)]) => {
                match (
                    self.mirror(place, *of)?,
                    self.decorations.get(&(ty, Decoration::ArrayStride)),
                ) {
                    ((scalar, None), Some(4)) => Ok((scalar, Some(self.constant(*length)?))),
                    _ => self.fail(format!("{place} is an array that Rust cannot mirror")),
                }
            }
            (other, _) => {
                self.fail(format!("{place} has a type that Rust cannot mirror ({other:?})"))
            }
        }
    }

    /// The components of `gl_WorkGroupSize`, if it depends on a specialisation constant.
    fn workgroup_ids(&self) -> Vec<u32> {
        let built_in = BuiltIn::WorkgroupSize as u32;
        let found = self
            .decorations
            .iter()
            .find(|((_, d), v)| *d == Decoration::BuiltIn && **v == built_in);
        let operands =
            found.and_then(|((id, _), _)| self.values.get(id)).map(|i| i.operands.as_slice());
        operands.unwrap_or_default().iter().filter_map(Operand::id_ref_any).collect()
    }

    fn local_size(&self) -> Result<[u32; 3]> {
        let modes = self.module.execution_modes.iter();
        let found = modes.map(|i| i.operands.as_slice()).find_map(|operands| match operands {
            [
                _,
                Operand::ExecutionMode(ExecutionMode::LocalSize),
                Operand::LiteralBit32(x),
                Operand::LiteralBit32(y),
                Operand::LiteralBit32(z),
            ] => Some([*x, *y, *z]),
            _ => None,
        });
        found.map_or_else(|| self.fail("no workgroup size".to_owned()), Ok)
    }

    /// Bytes of a type in shared memory, where structs are not laid out explicitly.
    fn size(&self, ty: u32) -> Result<u32> {
        let i = self.value(ty)?;
        match (i.class.opcode, i.operands.as_slice()) {
            (Op::TypeInt | Op::TypeFloat, [Operand::LiteralBit32(bits), ..]) => Ok(bits / 8),
            (Op::TypeVector, [Operand::IdRef(of), Operand::LiteralBit32(n)]) => {
                Ok(self.size(*of)? * n)
            }
            (Op::TypeArray, [Operand::IdRef(of), Operand::IdRef(n)]) => {
                Ok(self.size(*of)? * self.constant(*n)?)
            }
            (Op::TypeStruct, members) => {
                members.iter().filter_map(Operand::id_ref_any).map(|member| self.size(member)).sum()
            }
            (other, _) => self.fail(format!("shared memory holds a {other:?}")),
        }
    }

    /// The value of a constant at the default specialisation.
    fn constant(&self, id: u32) -> Result<u32> {
        let i = self.value(id)?;
        match (i.class.opcode, i.operands.as_slice()) {
            (Op::Constant | Op::SpecConstant, [Operand::LiteralBit32(value)]) => Ok(*value),
            (Op::SpecConstantOp, [Operand::LiteralSpecConstantOpInteger(op), rest @ ..]) => {
                self.operation(*op, rest)
            }
            (other, _) => self.fail(format!("{other:?} where a constant integer should be")),
        }
    }

    fn operation(&self, op: Op, operands: &[Operand]) -> Result<u32> {
        if let (Op::CompositeExtract, [Operand::IdRef(composite), Operand::LiteralBit32(index)]) =
            (op, operands)
        {
            let component =
                self.value(*composite)?.operands.get(*index as usize).and_then(Operand::id_ref_any);
            return self.constant(component.unwrap_or(0));
        }
        let values: Vec<u32> = operands
            .iter()
            .filter_map(Operand::id_ref_any)
            .map(|id| self.constant(id))
            .collect::<Result<_>>()?;
        let result = match (op, values.as_slice()) {
            (Op::IAdd, [a, b]) => a.checked_add(*b),
            (Op::ISub, [a, b]) => a.checked_sub(*b),
            (Op::IMul, [a, b]) => a.checked_mul(*b),
            (Op::UDiv, [a, b]) => a.checked_div(*b),
            (Op::UGreaterThan, [a, b]) => Some(u32::from(a > b)),
            (Op::Select, [which, a, b]) => Some(if *which != 0 { *a } else { *b }),
            (Op::ShiftLeftLogical, [a, b]) => a.checked_shl(*b),
            (Op::ShiftRightLogical, [a, b]) => a.checked_shr(*b),
            _ => None,
        };
        result.map_or_else(
            || self.fail(format!("cannot evaluate the constant expression {op:?}")),
            Ok,
        )
    }

    fn value(&self, id: u32) -> Result<&'a Instruction> {
        self.values
            .get(&id)
            .copied()
            .map_or_else(|| self.fail(format!("id {id} is not defined")), Ok)
    }

    fn name(&self, id: u32) -> Result<&'a str> {
        match self.names.get(&id) {
            Some(name) if !name.is_empty() => Ok(name),
            _ => self.fail(format!("id {id} has no name")),
        }
    }

    fn fail<T>(&self, what: String) -> Result<T> {
        Err(Error(format!("{}: {what}", self.place)))
    }
}

/// The first literal of a decoration, or 0.
fn literal(operands: &[Operand]) -> u32 {
    match operands {
        [Operand::LiteralBit32(value), ..] => *value,
        [Operand::BuiltIn(built_in), ..] => *built_in as u32,
        _ => 0,
    }
}
