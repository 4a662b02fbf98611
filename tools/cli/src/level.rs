//! `-1` to `-9` and `--level`.

use std::ffi::OsStr;

use clap::{
    Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches, error::ErrorKind, value_parser,
};
use ranvil::Options;

/// The level that the flags ask for; of several the last one counts, as in gzip and zstd.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level(pub Option<u8>);

/// The identifiers of `-1` to `-9`, and of `--level`.
const SHORT: [&str; 9] = [
    "level-1", "level-2", "level-3", "level-4", "level-5", "level-6", "level-7", "level-8",
    "level-9",
];
const LONG: &str = "level";

/// A flag that every other of the table overrides, and itself.
fn flag(id: &'static str) -> Arg {
    let all = SHORT.into_iter().chain([LONG]);
    Arg::new(id).overrides_with_all(all).help_heading("Format")
}

impl clap::Args for Level {
    fn augment_args(command: Command) -> Command {
        let short = SHORT.into_iter().zip(Options::MIN_LEVEL..).map(|(id, level)| {
            let digit = char::from(b'0' + level);
            let flag = flag(id).short(digit).action(ArgAction::SetTrue);
            match level {
                Options::MIN_LEVEL => flag.long("fast").help("Compress faster"),
                Options::MAX_LEVEL => flag.long("best").help("Compress better"),
                level => flag.help(format!("Level {level}")).hide(true),
            }
        });
        let long = flag(LONG)
            .long(LONG)
            .value_name("N")
            .allow_negative_numbers(true)
            .value_parser(value_parser!(u8).range(1..=9))
            .help(format!(
                "From 1, the fastest, to 9, the smallest; -N is the same [default: {}]",
                Options::DEFAULT_LEVEL
            ))
            .long_help(format!(
                "From 1, the fastest, to 9, the smallest; -N is the same [default: {}]\n\n\
                 It is how hard the model looks for repetition. Pipelines without a model have none to look for: \
                 the result is the same at every level.",
                Options::DEFAULT_LEVEL
            ));
        command.args(short).arg(long)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Level {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut short = SHORT.into_iter().zip(Options::MIN_LEVEL..);
        let short = short.find(|(id, _)| matches.get_flag(id)).map(|(_, level)| level);
        Ok(Self(short.or_else(|| matches.get_one(LONG).copied())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Refuses `-12`, which would be `-1 -2`: there are programs with that level.
pub fn refuse_two_digits(argument: &OsStr) -> Result<(), (ErrorKind, String)> {
    match argument.to_str().and_then(|argument| argument.strip_prefix('-')) {
        Some(digits) if digits.len() > 1 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err((ErrorKind::ValueValidation, format!("there is no level {digits}: use -1 to -9")))
        }
        _ => Ok(()),
    }
}
