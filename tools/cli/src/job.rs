//! One file from its source to its target.

use std::{io::IsTerminal, path::Path, time::Instant};

use anyhow::{Result, bail};
use ranvil::Options;

use crate::{
    args::{Args, Operation, is_dash},
    codec::{self, Transfer},
    flags, foreign,
    input::{Accept, Origin, Source, stdin_is_terminal},
    interrupt::Interrupt,
    output::{self, Target},
    progress,
    summary::Summary,
};

/// What is the same for every file.
pub struct Job<'a> {
    pub args: &'a Args,
    pub options: Options,
    pub interrupt: Interrupt,
}

impl Job<'_> {
    /// Compresses, decompresses or tests one file.
    ///
    /// # Errors
    /// The reason, without the file's name. The source is then untouched and no partial output is left.
    pub fn process(&self, path: &Path) -> Result<Summary> {
        self.interrupt.check()?;
        let operation = self.args.operation();
        let mut source = Source::open(path, self.accept(operation))?;
        let mut target = self.target(operation, path, source.origin.as_ref())?;
        self.refuse_terminal(operation, &source, &target)?;
        self.refuse_removal(&target)?;

        let start = Instant::now();
        let transfer = self.transfer(operation, path, &mut source, &mut target)?;
        let summary = Summary::new(operation, path, target.name(), transfer, start.elapsed());
        if let Target::File(mut file) = target {
            file.complete(source.origin.as_ref())?;
            if self.args.rm {
                codec::verify(&self.options, operation, &file, transfer)?;
            }
            file.commit()?;
        }
        if self.args.rm
            && let Some(origin) = source.origin
        {
            drop(source.file); // Windows keeps an open file's name
            origin.remove()?;
        }
        Ok(summary)
    }

    fn transfer(
        &self,
        operation: Operation,
        path: &Path,
        source: &mut Source,
        target: &mut Target,
    ) -> Result<Transfer> {
        let size = source.size();
        let bar = progress::bar(path, size, self.args.verbosity(), target);
        let reader = bar.wrap_read(&mut source.file);
        let crc = self.args.rm; // only a removal is verified
        let transfer = match operation {
            Operation::Compress => {
                codec::compress(&self.options.clone().content_size(size), reader, target, crc)
            }
            _ => codec::decompress(&self.options, reader, target, crc).map_err(foreign::explain),
        };
        bar.finish_and_clear();
        transfer.map_err(|error| flags::explain(&self.args.resources, error))
    }

    /// As gzip and zstd: what is compressed in place must be a regular file.
    fn accept(&self, operation: Operation) -> Accept {
        let Args { force, stdout, output, rm, .. } = self.args;
        match operation == Operation::Test || *force || *stdout || output.is_some() {
            false => Accept::Regular,
            true if *rm => Accept::Removable,
            true => Accept::Readable,
        }
    }

    fn target(&self, operation: Operation, path: &Path, origin: Option<&Origin>) -> Result<Target> {
        let Args { force, stdout, output, .. } = self.args;
        let name = match (operation, output) {
            (Operation::Test, _) => return Ok(Target::Nowhere),
            (_, Some(name)) if is_dash(name) => return Target::stdout(),
            (_, Some(name)) => name.clone(),
            _ if *stdout || is_dash(path) => return Target::stdout(),
            (Operation::Compress, _) => output::compressed_name(path, *force)?,
            _ => output::restored_name(path)?,
        };
        Target::file(&name, *force, origin, &self.interrupt)
    }

    fn refuse_terminal(
        &self,
        operation: Operation,
        source: &Source,
        target: &Target,
    ) -> Result<()> {
        if self.args.force {
            return Ok(());
        }
        match (operation, target) {
            (Operation::Compress, Target::Stdout(out)) if out.is_terminal() => {
                bail!(
                    "compressed data is not written to a terminal; redirect it, use -o FILE, or -f to force it"
                )
            }
            (Operation::Decompress | Operation::Test, _)
                if source.origin.is_none() && stdin_is_terminal() =>
            {
                bail!("compressed data is not read from a terminal; use -f to force it")
            }
            _ => Ok(()),
        }
    }

    /// `--rm` needs an output that can be read back.
    fn refuse_removal(&self, target: &Target) -> Result<()> {
        match target {
            Target::Special(_, path) if self.args.rm => {
                bail!("--rm needs an output that can be read back, which {} cannot", path.display())
            }
            _ => Ok(()),
        }
    }
}
