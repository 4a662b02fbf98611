//! The trace file: the JSON object format of the Trace Event Format, which Chrome and Perfetto open.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use super::{Piece, Queue, Row};

/// Events of the runs that have ended.
pub(super) struct Trace {
    /// How many more events there may be.
    left: AtomicUsize,
    dropped: AtomicU64,
    runs: Mutex<Vec<Arc<RunTrace>>>,
}

pub(super) struct RunTrace {
    pub what: &'static str,
    pub devices: BTreeMap<usize, String>,
    pub events: BTreeMap<Row, Vec<Event>>,
}

/// Something that took time.
#[derive(Clone)]
pub(super) struct Event {
    pub name: &'static str,
    /// In nanoseconds of the [clock](super::clock).
    pub begin: u64,
    pub end: u64,
    pub what: What,
}

#[derive(Clone)]
pub(super) enum What {
    Block(Piece),
    /// A batch of this number.
    Batch(u64),
}

impl Trace {
    pub fn new(max_events: usize) -> Self {
        let left = AtomicUsize::new(max_events);
        Self { left, dropped: AtomicU64::new(0), runs: Mutex::default() }
    }

    /// Whether there is room for another event; else it counts as dropped.
    pub fn takes_event(&self) -> bool {
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        if !taken {
            self.dropped.fetch_add(1, Relaxed);
        }
        taken
    }

    pub fn add(&self, mut run: RunTrace) {
        for row in run.events.values_mut() {
            untangle(row);
        }
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(run));
    }

    /// Writes all of it.
    pub fn write(&self, to: impl io::Write) -> io::Result<()> {
        // Runs that end meanwhile need not wait for the writer.
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        write(to, &runs, self.dropped.load(Relaxed))
    }
}

/// In a row one event follows the other, while a device may begin a command before it has ended the last one: such a
/// one is drawn from there.
fn untangle(events: &mut [Event]) {
    events.sort_by_key(|event| (event.begin, event.end));
    let mut free = 0;
    for event in events {
        event.begin = event.begin.max(free);
        event.end = event.end.max(event.begin);
        free = event.end;
    }
}

/// Writes runs as processes and rows as their threads.
pub(super) fn write(to: impl io::Write, runs: &[Arc<RunTrace>], dropped: u64) -> io::Result<()> {
    let mut list = List { to: io::BufWriter::new(to), line: String::new(), empty: true };
    list.text("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    for (run, pid) in runs.iter().zip(1..) {
        let name = format!("ranvil {}", run.what);
        list.name(pid, 0, "process_name", &name)?;
        for ((row, events), tid) in run.events.iter().zip(1..) {
            list.name(pid, tid, "thread_name", &row.name(&run.devices))?;
            list.item(format_args!(
                "{{\"ph\":\"M\",\"pid\":{pid},\"tid\":{tid},\"name\":\"thread_sort_index\",\
                 \"args\":{{\"sort_index\":{tid}}}}}"
            ))?;
            events.iter().try_for_each(|event| list.event(pid, tid, event))?;
        }
    }
    let end = format!("\n],\"otherData\":{{\"dropped_events\":{dropped}}}}}\n");
    list.text(&end)?;
    io::Write::flush(&mut list.to)
}

/// The list of events while it is written.
struct List<W: io::Write> {
    to: io::BufWriter<W>,
    line: String,
    empty: bool,
}

impl<W: io::Write> List<W> {
    fn text(&mut self, text: &str) -> io::Result<()> {
        io::Write::write_all(&mut self.to, text.as_bytes())
    }

    fn item(&mut self, item: fmt::Arguments<'_>) -> io::Result<()> {
        self.line.clear();
        self.line.push_str(if self.empty { "\n" } else { ",\n" });
        self.empty = false;
        self.line.write_fmt(item).map_err(io::Error::other)?;
        io::Write::write_all(&mut self.to, self.line.as_bytes())
    }

    fn name(&mut self, pid: u32, tid: u32, of: &str, name: &str) -> io::Result<()> {
        let name = Json(name);
        self.item(format_args!(
            "{{\"ph\":\"M\",\"pid\":{pid},\"tid\":{tid},\"name\":\"{of}\",\"args\":{{\"name\":{name}}}}}"
        ))
    }

    fn event(&mut self, pid: u32, tid: u32, event: &Event) -> io::Result<()> {
        let (begin, length) = (Micros(event.begin), Micros(event.end - event.begin));
        let (name, what) = (Json(event.name), &event.what);
        self.item(format_args!(
            "{{\"ph\":\"X\",\"pid\":{pid},\"tid\":{tid},\"ts\":{begin},\"dur\":{length},\
             \"name\":{name},\"args\":{what}}}"
        ))
    }
}

impl Row {
    fn name(self, devices: &BTreeMap<usize, String>) -> String {
        let device = |index| {
            let name = devices.get(&index).map_or("device", String::as_str);
            match devices.values().filter(|other| *other == name).count() {
                0 | 1 => name.to_owned(),
                _ => format!("{name} [{index}]"),
            }
        };
        match self {
            Self::Caller => "caller".to_owned(),
            Self::Worker(index) => format!("worker {index}"),
            Self::Submission(index) => format!("{}: submission", device(index)),
            Self::Queue(index, queue) => {
                let queue = match queue {
                    Queue::Upload => "upload",
                    Queue::Compute => "compute",
                    Queue::Download => "download",
                };
                format!("{}: {queue}", device(index))
            }
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(Piece { block, bytes, stages, .. }) => {
                write!(f, "{{\"block\":{block},\"bytes\":{bytes},\"stages\":{stages:?}}}")
            }
            Self::Batch(number) => write!(f, "{{\"batch\":{number}}}"),
        }
    }
}

/// Nanoseconds, as microseconds with their fraction.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A string of JSON.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if u32::from(c) < 0x20 => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
