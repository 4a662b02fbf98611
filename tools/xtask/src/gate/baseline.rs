//! Baseline files: one for each class of machine.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{calibration, row::Row};
use crate::{
    Result,
    process::{command, output},
};

/// What was measured on a class of machine. `rustc` is for people: rows of another compiler are compared.
#[derive(Default, Debug, Serialize, Deserialize)]
pub struct Baseline {
    pub rustc: String,
    pub rows: Vec<Row>,
}

impl Baseline {
    /// `None` if there is no such file.
    ///
    /// # Errors
    /// It cannot be read, or is no baseline.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// With `rows` in place of those with the same keys. Rows of another calibration workload are no use any more.
    ///
    /// # Errors
    /// There is no rustc to ask for its version.
    pub fn updated(mut self, rows: Vec<Row>) -> Result<Self> {
        let current = calibration::name();
        self.rows.retain(|old| {
            old.key.get("calibration") == Some(&current)
                && rows.iter().all(|row| row.key != old.key)
        });
        self.rows.extend(rows);
        self.rustc = output(command("rustc").arg("--version"))?.trim().to_owned();
        Ok(self)
    }

    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())? + "\n";
        let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
        directory
            .and_then(|()| fs::write(path, text))
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::row::tests::row, *};

    #[test]
    fn baselines_are_kept_and_updated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/class.json");
        assert!(Baseline::load(&path).unwrap().is_none());
        let mut other = row(5.0, 0.5);
        other.key.insert("threads".to_owned(), "9".to_owned());
        let mut stale = row(7.0, 0.5);
        stale.key.insert("calibration".to_owned(), "an older one".to_owned());
        let old =
            Baseline { rustc: String::new(), rows: vec![row(1.0, 0.1), other.clone(), stale] };
        old.updated(vec![row(2.0, 0.2)]).unwrap().save(&path).unwrap();
        let back = Baseline::load(&path).unwrap().unwrap();
        assert_eq!(back.rows, [other, row(2.0, 0.2)]);
        assert!(back.rustc.starts_with("rustc "));
        fs::write(&path, "{}").unwrap();
        assert!(Baseline::load(&path).is_err());
    }
}
