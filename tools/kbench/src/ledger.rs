//! A record while it is filled: what fails is noted and the rest goes on. Whatever is added is written at once, so that
//! whoever ends the program, however he does it, loses only what was just being measured.

use anyhow::{Result, anyhow};

use crate::{
    args::RecordFile,
    destination::Destination,
    is_closed_pipe,
    measure::Wrong,
    record::{Device, Record},
};

pub struct Ledger {
    pub record: Record,
    json: Option<Destination>,
    /// A variant computed something else.
    wrong: bool,
}

impl Ledger {
    pub fn new(device: Device, json: Option<Destination>) -> Self {
        Self { record: Record::new(device), json, wrong: false }
    }

    /// Where the record goes, if it goes anywhere.
    ///
    /// # Errors
    /// It cannot.
    pub fn destination(file: &RecordFile) -> Result<Option<Destination>> {
        file.json.as_ref().map(|path| Destination::new(path, file.force)).transpose()
    }

    /// What stands behind every figure of a software device.
    pub fn mark(&self) -> &'static str {
        if self.record.device.software { " (software)" } else { "" }
    }

    /// What was measured; or none if that failed, which is said and noted.
    ///
    /// # Errors
    /// Nobody reads on.
    pub fn attempt<T>(&mut self, what: &str, outcome: Result<T>) -> Result<Option<T>> {
        let error = match outcome {
            Ok(found) => return Ok(Some(found)),
            Err(error) if is_closed_pipe(&error) => return Err(error),
            Err(error) => error,
        };
        eprintln!("kbench: {what}: {error:#}");
        self.wrong |= error.is::<Wrong>();
        self.add(|record| record.failures.push(format!("{what}: {error:#}")));
        Ok(None)
    }

    /// Adds to the record, and writes it as far as it is now.
    pub fn add(&mut self, fill: impl FnOnce(&mut Record)) {
        fill(&mut self.record);
        let Some(json) = self.json.as_mut().filter(|_| !self.record.is_empty()) else { return };
        if let Err(error) = self.record.save(json) {
            // It may be possible in the end, and if not, that is an error.
            eprintln!("kbench: {error:#}");
        }
    }

    /// Writes what was measured, as a whole unless the outcome is an error.
    ///
    /// # Errors
    /// It cannot be written; or the outcome's; or something could not be measured.
    pub fn finish(self, outcome: Result<bool>) -> Result<bool> {
        let Self { mut record, json, wrong } = self;
        record.complete = outcome.is_ok();
        if let Some(json) = json.filter(|_| !record.is_empty()) {
            record.write(json)?;
        }
        let failed = record.failures.len();
        if failed == 0 {
            return outcome;
        }
        outcome?;
        let message = format!("{failed} could not be measured, as said above");
        Err(if wrong { Wrong(message).into() } else { anyhow!(message) })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use anyhow::bail;

    use super::*;
    use crate::record::tests::{record, row};

    #[test]
    fn what_is_added_is_in_the_file_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        let read = || Record::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let json = Destination::new(&path, false).unwrap();
        let mut ledger = Ledger::new(record().device, Some(json));
        for rows in 1..3 {
            ledger.add(|record| record.rows.push(row()));
            assert_eq!((read().rows.len(), read().complete), (rows, false));
        }
        let lost: Result<()> = Err(anyhow!("device lost"));
        ledger.attempt("fse", lost).unwrap();
        assert_eq!(read().failures, ["fse: device lost"]);
        ledger.finish(Ok(true)).unwrap_err();
        assert!(read().complete, "all of it was tried");
    }

    #[test]
    fn what_was_measured_before_a_failure_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        let new = || {
            let json = Destination::new(&path, true).unwrap();
            Ledger::new(record().device, Some(json))
        };
        new().finish(Ok(true)).unwrap();
        assert!(!path.exists(), "a record of nothing");

        let mut ledger = new();
        ledger.record.rows.push(row());
        let lost: Result<()> = Err(anyhow!("device lost"));
        assert_eq!(ledger.attempt("fse", lost).unwrap(), None);
        let error = ledger.finish(Ok(true)).unwrap_err();
        assert!(!error.is::<Wrong>() && error.to_string().starts_with('1'), "{error}");
        let written = Record::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            (written.rows, written.failures),
            (vec![row()], vec!["fse: device lost".to_owned()])
        );

        let mut ledger = new();
        ledger.record.rows.extend([row(), row()]);
        let closed = || -> Result<()> { bail!(io::Error::from(io::ErrorKind::BrokenPipe)) };
        let error = ledger.attempt("fse", closed()).unwrap_err();
        assert!(is_closed_pipe(&ledger.finish(Err(error)).unwrap_err()));
        let written = Record::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!((written.rows.len(), written.complete), (2, false));
    }

    #[test]
    fn wrong_results_are_told_from_what_could_not_be_done() {
        let mut ledger = Ledger::new(record().device, None);
        let wrong: Result<()> = Err(Wrong("other bytes".to_owned()).into());
        assert_eq!(ledger.attempt("rans", wrong).unwrap(), None);
        assert!(ledger.finish(Ok(true)).unwrap_err().is::<Wrong>());
    }
}
