//! Where figures come from: what differs in device, driver, revision, SPIR-V or data stands apart, and its name says what
//! differs. Names say no more than that.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Data, Device, Record};

/// What figures of one record share with those of others that may stand beside them.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The same for records whose figures may stand together, in order of devices and revisions.
    pub number: usize,
    /// Such as `, on Some GPU, revision 1234567`; empty if all records are alike.
    pub label: String,
    data: BTreeMap<String, Checksum>,
}

/// Which of the sets of data of one name it is, and how to call it apart from the others.
#[derive(Clone, Debug)]
struct Checksum {
    number: usize,
    label: String,
}

impl Origin {
    /// Which data it is: equal for the same data only.
    pub fn data<'a>(&self, data: &'a Data) -> (&'a str, usize) {
        (&data.name, self.data.get(&data.name).map_or(0, |known| known.number))
    }

    /// The data's name, with a checksum where two sets have that name.
    pub fn data_label(&self, data: &Data) -> String {
        let label = self.data.get(&data.name).map_or("", |known| known.label.as_str());
        format!("{}{label}", data.name)
    }
}

/// Of each record.
pub fn origins(records: &[Record]) -> Vec<Origin> {
    let modules = classes(records.iter().map(modules).collect());
    let data = data(records);
    let key = |at: usize| (place(&records[at].device), &records[at].revision, modules[at]);
    let keys: BTreeSet<_> = (0..records.len()).map(key).collect();
    let speeds: Vec<usize> = (0..records.len()).filter(|&at| records[at].has_speeds()).collect();
    let origin = |at: usize| Origin {
        number: keys.iter().position(|known| *known == key(at)).expect("it is one of them"),
        label: label(at, records, &speeds, &modules),
        data: data[at].clone(),
    };
    (0..records.len()).map(origin).collect()
}

/// What tells devices and their drivers apart.
fn place(device: &Device) -> (&str, bool, &str, &str, Option<u32>) {
    let Device { name, driver, driver_version, software, subgroup } = device;
    (name, *software, driver, driver_version, *subgroup)
}

/// What differs between records with speeds.
fn label(at: usize, records: &[Record], speeds: &[usize], modules: &[usize]) -> String {
    let Record { device, revision, .. } = &records[at];
    // Only what is alike so far need be told apart by what comes next.
    let rest = |alike: &dyn Fn(&Record) -> bool, differs: &dyn Fn(usize) -> bool| {
        speeds.iter().any(|&other| alike(&records[other]) && differs(other))
    };
    let mut label = String::new();
    if device.software || rest(&|_| true, &|other| records[other].device.name != device.name) {
        label += &format!(", on {}", device.label());
    }
    let same_name = |other: &Record| other.device.name == device.name;
    let driver = |device: &Device| format!("{} {}", device.driver, device.driver_version);
    if rest(&same_name, &|other| driver(&records[other].device) != driver(device)) {
        label += &format!(", {}", driver(device));
    }
    if rest(&same_name, &|other| records[other].device.subgroup != device.subgroup) {
        label += &device
            .subgroup
            .map_or(", no subgroups".to_owned(), |size| format!(", subgroups of {size}"));
    }
    if rest(&|_| true, &|other| records[other].revision != *revision) {
        label += &format!(", revision {revision}");
    }
    let same_build = |other: &Record| same_name(other) && other.revision == *revision;
    if rest(&same_build, &|other| modules[other] != modules[at]) {
        label += &format!(", {}", spirv(at, records, modules));
    }
    label
}

/// The SPIR-V in which a record differs from another.
fn spirv(at: usize, records: &[Record], classes: &[usize]) -> String {
    let own = modules(&records[at]);
    let others = (0..records.len()).filter(|&other| classes[other] != classes[at]);
    let others: Vec<_> = others.map(|other| modules(&records[other])).collect();
    let differs = |(name, hash): &(&String, &u32)| {
        others.iter().any(|other| other.get(*name).is_some_and(|known| known != *hash))
    };
    let (name, hash) = own.iter().find(differs).expect("classes differ in something");
    format!("{name} of SPIR-V {hash:#010x}")
}

/// Every form of a kernel that a record's figures are of, and its checksum.
fn modules(record: &Record) -> BTreeMap<String, u32> {
    let pairs = record.comparisons.iter().flat_map(|c| [&c.baseline, &c.candidate]);
    let rows = record.rows.iter().chain(pairs);
    rows.flat_map(|row| &row.modules).chain(&record.modules).cloned().collect()
}

/// Of each record, for each name of data that it has, which of the sets of that name it is.
fn data(records: &[Record]) -> Vec<BTreeMap<String, Checksum>> {
    let all = records.iter().flat_map(Record::data);
    let names: BTreeSet<&String> = all.map(|(_, data)| &data.name).collect();
    let mut found = vec![BTreeMap::new(); records.len()];
    for name in names {
        let own = |record: &Record| -> BTreeMap<[u64; 2], u32> {
            let data = record.data().filter(|(_, data)| data.name == *name);
            data.map(|(cut, data)| (cut, data.crc32c)).collect()
        };
        let sums: Vec<_> = records.iter().map(own).collect();
        let classes = classes(sums.clone());
        let several = classes.iter().max() > Some(&0);
        for (at, sums) in sums.iter().enumerate() {
            let Some(([bytes, _], sum)) = sums.last_key_value() else { continue };
            let size = crate::size::human(*bytes);
            let label = if several { format!(" ({sum:#010x} at {size})") } else { String::new() };
            found[at].insert(name.clone(), Checksum { number: classes[at], label });
        }
    }
    found
}

/// Which of these may be of one thing: they agree in all that more than one of them says. Each goes to the first class with
/// which it agrees.
fn classes<K: Ord + Clone>(all: Vec<BTreeMap<K, u32>>) -> Vec<usize> {
    let mut classes: Vec<BTreeMap<K, u32>> = Vec::new();
    let place = |own: BTreeMap<K, u32>| {
        let agrees = |class: &BTreeMap<K, u32>| {
            own.iter().all(|(key, value)| class.get(key).is_none_or(|known| known == value))
        };
        let at = classes.iter().position(agrees).unwrap_or(classes.len());
        if at == classes.len() {
            classes.push(BTreeMap::new());
        }
        classes[at].extend(own);
        at
    };
    all.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    fn labels(change: impl FnOnce(&mut Record)) -> [String; 2] {
        let mut other = record();
        change(&mut other);
        let found = origins(&[record(), other]);
        assert_ne!(found[0].number, found[1].number, "{found:?}");
        [0, 1].map(|at| found[at].label.clone())
    }

    #[test]
    fn alike_records_stand_together() {
        let found = origins(&[record(), record()]);
        assert_eq!(found[0].number, found[1].number);
        assert_eq!(found[0].label, "");
        let mut limits = record();
        (limits.rows, limits.comparisons, limits.small) = Default::default();
        limits.revision = "other".to_owned();
        assert_eq!(origins(&[record(), limits])[0].label, "", "it has no speeds");
    }

    #[test]
    fn labels_say_what_differs() {
        let [one, other] = labels(|record| record.revision = "0ther+".to_owned());
        assert_eq!(one, format!(", revision {}", record().revision));
        assert_eq!(other, ", revision 0ther+");
        let found = labels(|record| record.device.driver_version = "1.3".to_owned());
        assert_eq!(found, [", driver 1.2", ", driver 1.3"]);
        let found = labels(|record| record.device.subgroup = None);
        assert_eq!(found, [", subgroups of 32", ", no subgroups"]);
        let found = labels(|record| record.device.name = "B".to_owned());
        assert_eq!(found, [", on Some <GPU>", ", on B"]);
        let found = labels(|record| {
            record.comparisons.clear();
            record.rows.iter_mut().for_each(|row| row.modules[0].1 = 8);
        });
        let of = |hash: &str| format!(", decode_rans subgroup32 of SPIR-V 0x0000000{hash}");
        assert_eq!(found, [of("7"), of("8")]);
    }

    #[test]
    fn data_of_one_name_is_told_apart_by_its_checksum() {
        let mut other = record();
        // Another amount of the same data has another checksum.
        other.rows.truncate(1);
        (other.comparisons, other.small) = Default::default();
        (other.rows[0].case.params.size, other.rows[0].data.crc32c) = (2000, 77);
        let of = |records: &[Record]| -> Vec<(usize, String)> {
            let found = origins(records);
            let one = |(origin, record): (&Origin, &Record)| {
                let data = &record.rows[0].data;
                (origin.data(data).1, origin.data_label(data))
            };
            found.iter().zip(records).map(one).collect()
        };
        let mixed = || "mixed".to_owned();
        assert_eq!(of(&[record(), other.clone()]), [(0, mixed()), (0, mixed())]);
        other.rows[0].case.params.size = record().rows[0].case.params.size;
        let found = of(&[record(), other]);
        assert_eq!(found[0].1, "mixed (0x00000009 at 1 GiB)");
        assert_eq!(found[1], (1, "mixed (0x0000004d at 1 GiB)".to_owned()));
    }
}
