//! What is tried beside the product's own variants. A new one is one entry: the build compiles it, `list` shows it, `verify`
//! and `static` check it, `measure` and `compare` take it as `VARIANT+NAME`.

/// A change to variants of some kernels. What a device must have for it follows from the variant that it changes and from
/// the module that it compiles to.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    pub name: &'static str,
    /// What it tries.
    pub about: &'static str,
    pub kernels: &'static [&'static str],
    /// How the names of the variants begin that it changes.
    pub variants: &'static [&'static str],
    /// Macros that are set or changed.
    pub macros: &'static [(&'static str, &'static str)],
    /// Specialisation constants, by identifier.
    pub spec: &'static [(u32, u32)],
    /// Leaves it to the driver whether accesses of buffers are checked against their ends.
    pub checked: bool,
    /// The product has it too, where its plans say so: it is held to what is recorded.
    pub product: bool,
}

const ENCODE: &[&str] = &["encode_rans", "encode_fse", "encode_huff"];
const DECODE: &[&str] = &["decode_rans", "decode_fse", "decode_huff"];
/// Variants with a whole segment's lanes in a subgroup.
const WIDE: &[&str] = &["subgroup32", "subgroup64"];

/// Variants that decode whole tiles without checks.
const FAST: &[&str] = &["subgroup16", "subgroup32", "subgroup64"];

/// Variants of rans with integers of 8 bits.
const BYTES: &[&str] = &["subgroup32.ballot", "subgroup16.16bit", "subgroup8.16bit"];

pub const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "streams1",
        about: "one segment a group: fewer registers, nothing to do while memory answers",
        kernels: DECODE,
        variants: WIDE,
        macros: &[("STREAMS", "1")],
        spec: &[],
        checked: false,
        product: false,
    },
    Experiment {
        name: "streams2",
        about: "two segments a group",
        kernels: DECODE,
        variants: &["subgroup8", "subgroup16", "subgroup4"],
        macros: &[("STREAMS", "2")],
        spec: &[],
        checked: false,
        product: false,
    },
    Experiment {
        name: "streams4",
        about: "four segments a group: more registers, more loads in flight",
        kernels: DECODE,
        variants: WIDE,
        macros: &[("STREAMS", "4")],
        spec: &[],
        checked: false,
        product: false,
    },
    Experiment {
        name: "log12",
        about: "tables of log 12 whatever the batch needs: what shared memory costs in occupancy",
        kernels: DECODE,
        variants: &[""],
        macros: &[],
        spec: &[(1, 12)],
        checked: false,
        product: false,
    },
    Experiment {
        name: "checked",
        about: "accesses of buffers checked against their ends",
        kernels: DECODE,
        variants: &[""],
        macros: &[],
        spec: &[],
        checked: true,
        product: false,
    },
    Experiment {
        name: "compact",
        about: "rans: a byte a slot and a word a symbol, whatever the batch",
        kernels: &["decode_rans"],
        variants: BYTES,
        macros: &[],
        spec: &[(2, 1)],
        checked: false,
        product: true,
    },
    Experiment {
        name: "plain",
        about: "rans: a word a slot, whatever the batch",
        kernels: &["decode_rans"],
        variants: BYTES,
        macros: &[],
        spec: &[(2, 0)],
        checked: false,
        product: false,
    },
    Experiment {
        name: "words",
        about: "rans: words counted as words, whatever the device",
        kernels: &["decode_rans"],
        variants: &[""],
        macros: &[],
        spec: &[(3, 1)],
        checked: false,
        product: false,
    },
    Experiment {
        name: "bytes",
        about: "rans: words counted in bytes, whatever the device",
        kernels: &["decode_rans"],
        variants: &[""],
        macros: &[],
        spec: &[(3, 2)],
        checked: false,
        product: true,
    },
    Experiment {
        name: "tiles1",
        about: "a tile a turn of the decode loop",
        kernels: DECODE,
        variants: FAST,
        macros: &[("FAST_TILES", "1")],
        spec: &[],
        checked: false,
        product: false,
    },
    Experiment {
        name: "int16",
        about: "fse's cells as 16-bit integers on devices whose variants do without",
        kernels: &["encode_fse"],
        variants: &["subgroup16", "subgroup8", "subgroup4"],
        macros: &[("INT16", "1")],
        spec: &[],
        checked: false,
        product: false,
    },
    Experiment {
        name: "turn1",
        about: "a tile a turn of the encode loop, loaded a tile ahead",
        kernels: ENCODE,
        variants: WIDE,
        macros: &[("TURN_TILES", "1u")],
        spec: &[],
        checked: false,
        product: false,
    },
    Experiment {
        name: "turn8",
        about: "eight tiles a turn, as wider groups have them: for devices that do without those, software's above all",
        kernels: ENCODE,
        variants: &["subgroup16.dot"],
        macros: &[("TURN_TILES", "8u")],
        spec: &[],
        checked: false,
        product: false,
    },
];
