//! What is wrong with particular devices and drivers: one table, each entry with its reason. The rest of the crate
//! asks for flags and never for vendors.

use ash::vk;

/// What to do differently on a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Workarounds(u32);

impl Workarounds {
    /// Warn the user, naming the driver: its results may be wrong.
    pub const WARN: Self = Self(1);
    /// Use the kernels' shared-memory form.
    pub const SHARED_FORM: Self = Self(1 << 1);
    /// The device compiles but does not execute.
    pub const NULL_DEVICE: Self = Self(1 << 2);

    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// What the table decides by.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub name: &'a str,
    pub driver: vk::DriverId,
    /// The driver's own version text.
    pub driver_version: &'a str,
    pub subgroup_min: u32,
    pub subgroup_max: u32,
    pub subgroup_default: u32,
    /// A pipeline can demand its subgroup size.
    pub subgroup_control: bool,
}

struct Quirk {
    applies: fn(&Facts<'_>) -> bool,
    flags: Workarounds,
    reason: &'static str,
}

const QUIRKS: &[Quirk] = &[
    Quirk {
        applies: |facts| {
            facts.driver == vk::DriverId::MESA_LLVMPIPE
                && mesa_major(facts.driver_version).is_some_and(|major| major < 23)
        },
        flags: Workarounds::WARN,
        reason: "lavapipe before Mesa 23 leaves loops early after about 65,535 iterations in one invocation; \
                 update Mesa",
    },
    Quirk {
        applies: |facts| facts.name.starts_with("Null hardware") || facts.name.contains("NULL HW"),
        flags: Workarounds::NULL_DEVICE,
        reason: "a null device compiles shaders and runs nothing",
    },
    Quirk {
        applies: |facts| !facts.subgroup_control && facts.subgroup_min != facts.subgroup_max,
        flags: Workarounds::SHARED_FORM,
        reason: "the driver picks a subgroup size for each pipeline (Intel: 8, 16 or 32, Qualcomm: 64 or 128) and none can be demanded",
    },
    Quirk {
        applies: |facts| !facts.subgroup_control && !(4..=64).contains(&facts.subgroup_default),
        flags: Workarounds::SHARED_FORM,
        reason: "the kernels' subgroup forms know sizes 4 to 64 only",
    },
];

/// What to do differently on this device, and why.
pub(super) fn workarounds(facts: &Facts<'_>) -> (Workarounds, Vec<&'static str>) {
    let found = QUIRKS.iter().filter(|quirk| (quirk.applies)(facts));
    found.fold((Workarounds::default(), Vec::new()), |(flags, mut reasons), quirk| {
        reasons.push(quirk.reason);
        (Workarounds(flags.0 | quirk.flags.0), reasons)
    })
}

/// The major version in a text such as `Mesa 22.3.6 (LLVM 15.0.6)`.
fn mesa_major(version: &str) -> Option<u32> {
    version.strip_prefix("Mesa ")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAVAPIPE: Facts<'static> = Facts {
        name: "llvmpipe (LLVM 15.0.6, 256 bits)",
        driver: vk::DriverId::MESA_LLVMPIPE,
        driver_version: "Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)",
        subgroup_min: 8,
        subgroup_max: 8,
        subgroup_default: 8,
        subgroup_control: true,
    };

    #[test]
    fn the_table_knows_its_devices() {
        let flags = |facts: &Facts<'_>| workarounds(facts).0;
        assert_eq!(flags(&LAVAPIPE), Workarounds::default());
        let old = Facts { driver_version: "Mesa 22.3.6 (LLVM 15.0.6)", ..LAVAPIPE };
        assert_eq!(flags(&old), Workarounds::WARN);
        let null = Facts { name: "Null hardware (RADV GFX1100)", ..LAVAPIPE };
        assert!(flags(&null).contains(Workarounds::NULL_DEVICE));
        let intel = Facts { subgroup_max: 32, subgroup_control: false, ..LAVAPIPE };
        assert!(flags(&intel).contains(Workarounds::SHARED_FORM));
        assert_eq!(flags(&Facts { subgroup_max: 32, ..LAVAPIPE }), Workarounds::default());
        let wide = Facts {
            subgroup_min: 128,
            subgroup_max: 128,
            subgroup_default: 128,
            subgroup_control: false,
            ..LAVAPIPE
        };
        assert!(flags(&wide).contains(Workarounds::SHARED_FORM));
    }
}
